"""The suite and the policy that come with an imported dataset: good to run, and to be changed.

The policy's margins are set afterwards from what the data can decide
(:func:`relkit.gate.plan_run.set_margins`).
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from relkit.core.wording import amount, safe
from relkit.datasets.selection import cluster_of
from relkit.datasets.types import NO_VALUE, Dataset
from relkit.evaluation.suites import parse_suite
from relkit.gate.bounds import share_end
from relkit.gate.policies import parse_policy

ENOUGH_CLUSTERS = 5
"""Clusters from which a slice has an interval: a rule over its column asks each value for them."""

MOST_VALUES_TESTED = 12
"""Values of a column up to which a starter policy tests it."""

_LANGUAGES = ("lang", "language", "locale")
_LEAST_RARE, _MOST_RARE = 0.02, 0.9
_UNEQUAL = 1.25
"""How much wider the end of a rare rate is taken, as clusters differ in size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterFiles:
    """A suite and a policy by name, as text; ``untested`` are columns too small for a rule."""

    suite: str
    suite_text: str
    policy: str
    policy_text: str
    untested: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterSummary:
    """What of a starter was ``written``, by path: what was there before stays as it is.

    ``margin`` is how much worse an error rate may be by the policy, None where the data can decide
    no margin; ``untested`` are slice columns with too few clusters for a rule.
    """

    suite: str
    policy: str
    written: tuple[str, ...]
    margin: float | None
    untested: tuple[str, ...]


def starter_text(starter: StarterSummary) -> str:
    """Return in words what was written, and what it cannot decide."""
    if not starter.written:
        return f"suite {safe(starter.suite)} and policy {starter.policy} are there already"
    lines = [f"wrote {' and '.join(safe(path) for path in starter.written)}"]
    if starter.margin is not None:
        lines.append(f"  margin: worse by {amount(starter.margin, 'fraction')} at most")
    elif len(starter.written) > 1:
        lines.append("  no margin can be decided with this data: see --plan")
    if starter.untested:
        few = ", ".join(safe(name) for name in starter.untested)
        lines.append(f"  without a rule, a value has fewer than {ENOUGH_CLUSTERS} speakers: {few}")
    return "\n".join(lines)


def starter_files(dataset: Dataset) -> StarterFiles:
    """Return what an import writes for a dataset, read back before it is given."""
    name = dataset.version.name
    policy = re.sub(r"[^a-z0-9._-]", "-", name.lower())[:64]
    tested = tuple(_tested(dataset))
    suite_text, policy_text = _suite(dataset), _policy(dataset, policy, tested)
    parse_suite(suite_text, source=f"{name}.yaml")
    parse_policy(policy_text, source=f"{policy}.yaml")
    return StarterFiles(
        suite=name,
        suite_text=suite_text,
        policy=policy,
        policy_text=policy_text,
        untested=tuple(name for name in dataset.settings.slices if name not in tested),
    )


def _tested(dataset: Dataset) -> Iterator[str]:
    """Yield the slice columns of which every value has enough clusters."""
    for column in dataset.settings.slices:
        clusters: dict[str, set[str]] = defaultdict(set)
        for item in dataset.utterances:
            value = item.attributes.get(column, NO_VALUE)
            clusters[value].add(cluster_of(item, dataset.settings.ways.column))
        if len(clusters) <= MOST_VALUES_TESTED and all(
            len(values) >= ENOUGH_CLUSTERS for values in clusters.values()
        ):
            yield column


def _language(dataset: Dataset) -> str | None:
    """Return the language that all utterances say they are in, such as ``cy`` for ``cy-GB``."""
    for column in _LANGUAGES:
        values = {item.attributes.get(column, "") for item in dataset.utterances}
        codes = {value.replace("_", "-").partition("-")[0].lower() for value in values}
        if len(codes) == 1 and re.fullmatch(r"[a-z]{2,3}", code := codes.pop()):
            return code
    return None


def _suite(dataset: Dataset) -> str:
    language = _language(dataset)
    english = language in {None, "en"}
    model = "tiny.en" if english else "tiny"
    guess = "# No column says the language, so English is taken.\n" if language is None else ""
    name = json.dumps(dataset.version.name)
    slices = ", ".join(json.dumps(column) for column in dataset.settings.slices)
    return f"""\
# What is measured on {name}. Written by relkit dataset import, to be changed.
# Your own system: kind command, openai-http or recorded (docs/systems.md).
{guess}schema: relkit.suite/v1
name: {name}
dataset: {{name: {name}}}
normalizer: {"english" if english else "basic"}
metrics: [wer, wer_capped, cer, runaway_rate, failure_rate, rtf, latency_ms]
slices: [{slices}]
system: {{kind: faster-whisper, model: {model}, language: {language or "en"}}}
"""


def _rare(dataset: Dataset) -> float:
    """Return a limit that utterances of which one fails, are shown to be inside of."""
    column = dataset.settings.ways.column
    clusters = len({cluster_of(item, column) for item in dataset.utterances})
    end = share_end(1, len(dataset.utterances), clusters) * _UNEQUAL
    return min(_MOST_RARE, max(_LEAST_RARE, math.ceil(end * 100) / 100 if end < 1 else 1.0))


def _policy(dataset: Dataset, name: str, tested: tuple[str, ...]) -> str:
    rare = _rare(dataset)
    families = "".join(
        f"  - {{id: wer-{i}, metric: wer_capped, slice: {json.dumps(f'{column}=*')}, "
        "test: no_regression, detectable: 2.0}\n"
        for i, column in enumerate(tested, start=1)
    )
    head = "  # No value of these columns may get worse; detectable is what the data can exclude.\n"
    return f"""\
# May a new system replace the one that serves now? Written by relkit dataset import, to be changed.
# Try it:  relkit gate {name} --plan --suite {dataset.version.name}
# The margin was set from what the data can decide: at it, two equal systems pass in 80 % of gates.
schema: relkit.gate/v1
name: {json.dumps(name)}
enforcement: enforce   # "shadow" shows the real verdict and never blocks (and never promotes)
coverage: 0.99         # share of the utterances that has to be scored
rules:
  # On the whole it may be worse than the baseline by at most the margin (0.01 is one point).
  - {{id: wer-overall, metric: wer_capped, slice: overall, test: non_inferiority, margin: 0.02}}
  # A ceiling whatever the baseline did: write what your product can live with.
  - {{id: wer-limit, metric: wer_capped, slice: overall, test: bound, max: 0.30}}
{head if families else ""}{families}\
  # Repetition loops, and utterances without an answer: with one of them the data still shows this.
  - {{id: runaways, metric: runaway_rate, slice: overall, test: bound, max: {rare:g}}}
  - {{id: failures, metric: failure_rate, slice: overall, test: bound, max: {rare:g}}}
"""
