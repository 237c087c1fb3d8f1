"""Where output goes: results to stdout, everything else to stderr."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.cli.app import Common
    from relkit.core.digests import JsonValue
    from relkit.core.ports import Progress


T = TypeVar("T")


class Color(StrEnum):
    """When verdicts are in colour; ``auto`` is in a terminal, without NO_COLOR."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def show(
    result: T,
    common: "Common",
    *,
    text: Callable[[T], str],
    document: "Callable[[T], Mapping[str, JsonValue]] | None" = None,
) -> None:
    """Print a result on stdout: as text for people, or as the one document of ``--json``.

    Without ``document`` that is the result in the shape of its type.
    """
    if common.as_json:
        from relkit.core.codec import encode

        print_json((document or encode)(result))
    else:
        from relkit.core.wording import terminal

        put(_painted(terminal(text(result)), common.color))


_COLOURS = {
    "PASS": 32,
    "FAIL": 31,
    "ERROR": 31,
    "BLOCKED": 31,
    "CANNOT": 31,
    "NO DATA": 33,
    "UNDECIDED": 33,
    "SHADOW": 36,
    "OVERRIDDEN": 35,
    "PAGE": 31,
    "TICKET": 33,
}
"""Verdicts, and the numbers of their colours in ECMA-48 (SGR)."""


def _painted(text: str, color: Color) -> str:
    """Return text with the verdicts that begin its lines in colour, where that is seen.

    Text for people holds no escape sequence of its own, so that none can be made from data.
    """
    if color is Color.AUTO:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        color = Color.NEVER if plain or not sys.stdout.isatty() else Color.ALWAYS
    if color is Color.NEVER:
        return text
    words = "|".join(_COLOURS)
    return re.sub(
        rf"^( *)({words})\b",
        lambda match: f"{match[1]}\033[1;{_COLOURS[match[2]]}m{match[2]}\033[0m",
        text,
        flags=re.MULTILINE,
    )


def print_json(document: "Mapping[str, JsonValue]") -> None:
    """Print the one JSON document of ``--json``.

    What steers a terminal or a runner stands in it as an escape of JSON.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False).replace("##[", "##\\u005b")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    sys.stdout.write(text + "\n")


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user something on stderr, unless asked to be quiet.

    No line of it steers a terminal or the runner whose log it goes to, whatever data it names.
    """
    if not quiet:
        from relkit.core.wording import log_line

        sys.stderr.write("\n".join(map(log_line, text.split("\n"))) + "\n")


def annotate(command: str) -> None:
    """Write a workflow command for a GitHub runner, whose parts are escaped for their places."""
    sys.stderr.write(command + "\n")


_stored: list[bool] = []


def result_is_stored() -> None:
    """Note that the result is on disk: the command has done its work, whatever can be printed."""
    _stored.append(True)


def is_stored() -> bool:
    """Return whether the result of the command is on disk."""
    return bool(_stored)


def put(text: str) -> None:
    """Print a result to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def seconds(text: str, option: str) -> float:
    """Return a duration such as ``24h`` in seconds; raises UsageError."""
    from relkit.core.values import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> "Iterator[Progress]":
    """Give a callback that shows (done, total): a bar in a terminal, else a line now and then."""
    if quiet:
        yield lambda _done, _total: None
        return
    if not sys.stderr.isatty():
        yield ProgressLines(what, monotonic)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    left = (TextColumn("left"), TimeRemainingColumn(compact=True))
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), *left)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


PROGRESS_S = 30.0
"""Seconds between two lines about what is still going on, in a log."""


class ProgressLines:
    """Implements Progress for a log: a line every 30 s, with the time that is left."""

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        """Count from now; ``clock`` gives seconds."""
        self._what = what
        self._clock = clock
        self._began = self._said = clock()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Take in how much is done; what was done before the first call took no time here."""
        from relkit.core.wording import count, duration

        now = self._clock()
        if self._first is None:
            self._first = done
        if now - self._said < PROGRESS_S:
            return
        self._said, fresh = now, done - self._first
        left = (now - self._began) / fresh * (total - done) if fresh > 0 else None
        estimate = "" if left is None else f", about {duration(left)} left"
        say(f"relkit: {self._what}: {count(done)} of {count(total)}{estimate}")
