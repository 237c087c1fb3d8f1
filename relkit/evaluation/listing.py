"""The runs of a workspace as a list, and the names that move with it: ``@latest``, ``@prev``."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from relkit.core.codec import encode
from relkit.core.errors import UsageError
from relkit.core.values import Estimate, Shape
from relkit.core.wording import columns, number, safe, without_secrets
from relkit.core.yaml_text import shown
from relkit.evaluation.types import EvalReport, RunHeader, System, overall, primary_metric

_MOVING = re.compile(r"@(?P<place>latest|prev)(?::(?P<suite>.+))?")
_MAIN = ("model", "path", "run", "voice")
_APART = frozenset({"kind", "timeout_s", "retries", "artifact", *_MAIN})
_PROMPTS = frozenset({"prompt", "initial_prompt", "instructions"})

PAGE_WIDTH = 80
"""Columns that a list may take on a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run of the list; only a ``finished`` one has a headline: its ranking metric's estimate.

    ``system`` says the system in words, ``limit`` marks a smoke run of so many utterances. What
    cannot be read is ``unreadable`` and says nothing.
    """

    FILE: ClassVar = Shape(derived={"path": "run"})

    run: str
    status: Literal["finished", "unfinished", "unreadable"]
    created: str = ""
    suite: str = ""
    dataset: str = ""
    system: str = ""
    expected: int | None = None
    scored: int | None = None
    limit: int | None = None
    metric: str | None = None
    headline: Estimate | None = None

    @property
    def path(self) -> str:
        """Where the run lies, relative to the workspace."""
        return f".relkit/runs/{self.run}"


def listed(header: RunHeader, report: EvalReport | None) -> ListedRun:
    """Return the entry of a run; ``report`` is None where it is not finished."""
    metric = None if report is None else primary_metric(report)
    return ListedRun(
        run=header.run,
        status="unfinished" if report is None else "finished",
        created=header.created,
        suite=header.suite.name,
        dataset=header.dataset.name,
        system=system_words(header.suite.system),
        expected=None if report is None else report.expected,
        scored=None if report is None else report.scored,
        limit=header.limit,
        metric=metric,
        headline=None if report is None or metric is None else overall(report).metrics[metric],
    )


def system_words(system: System) -> str:
    """Return a system in words: its kind, what it is made of, and the options that are not usual.

    >>> from relkit.evaluation.types import FasterWhisper
    >>> system_words(FasterWhisper(model="tiny.en", beam_size=5))
    'faster-whisper tiny.en beam_size=5'
    """
    options = encode(system)
    usual = {item.name: item.default for item in fields(system)}
    made_of = [without_secrets(str(options[name])) for name in _MAIN if name in options]
    unusual = [
        f"{name}={'…' if name in _PROMPTS else without_secrets(str(value))}"
        for name, value in options.items()
        if name not in _APART and value != usual[name]
    ]
    return " ".join([system.kind, *made_of, *unusual])


def moving(text: str) -> bool:
    """Tell whether a run is named by its place in the list."""
    return text.startswith("@")


def run_at(
    text: str, newest_first: Iterable[str], header: Callable[[str], RunHeader], *, finished: bool
) -> str:
    """Return the id of the run that ``@latest``, ``@prev`` or ``@latest:SUITE`` names.

    Of the finished runs, or of the unfinished, ``@latest`` is the newest and ``@prev`` the one
    before it of the same suite, a smoke run for a smoke run. ``header`` reads a run's. Raises
    UsageError where there is none.
    """
    match = _MOVING.fullmatch(text)
    if match is None:
        raise UsageError(
            f'"{shown(text)}" names no run', hint="@latest and @prev do, also @latest:SUITE"
        )
    suite, state = match["suite"], "finished" if finished else "running"
    latest: RunHeader | None = None
    for run in newest_first:
        candidate = header(run)
        if candidate.status != state or (suite is not None and candidate.suite.name != suite):
            continue
        if match["place"] == "latest":
            return run
        if latest is not None and _alike(candidate, latest):
            return run
        latest = latest or candidate
    what = "finished run" if finished else "interrupted run"
    of = "" if suite is None else f' of the suite "{shown(suite)}"'
    if latest is not None:
        of = f' of the suite "{shown(latest.suite.name)}" before {latest.run}'
    raise UsageError(f"{shown(text)}: there is no {what}{of}", hint="list them: relkit runs")


def _alike(header: RunHeader, latest: RunHeader) -> bool:
    return (header.suite.name, header.limit) == (latest.suite.name, latest.limit)


def runs_text(runs: Sequence[ListedRun], *, suite: str | None = None) -> str:
    """Return the list, of a suite or all, as a table that a terminal of 80 columns holds."""
    if not runs:
        of = "" if suite is None else f' of the suite "{shown(suite)}"'
        return f"no run{of} yet: relkit eval SUITE"
    rows = [[run.run, safe(run.suite), _headline(run), safe(run.system)] for run in runs]
    head = ["run", "suite", "headline", "system"]
    taken = sum(max(len(row[i]) for row in [head, *rows]) + 2 for i in range(3))
    room = max(PAGE_WIDTH - taken, 16)
    return columns([head, *([*row[:3], shown(row[3], room)] for row in rows)], to_left=(0, 1, 2, 3))


def _headline(run: ListedRun) -> str:
    if run.status != "finished":
        return run.status
    if run.metric is None or run.headline is None:
        return "nothing measured"
    estimate = run.headline
    smoke = "" if run.limit is None else f" (smoke: {run.limit})"
    return f"{run.metric} {number(estimate.value, estimate.unit)}{smoke}"
