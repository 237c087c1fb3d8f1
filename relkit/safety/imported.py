"""Answers that another tool judged, as rows of a run: what each counts, or why it counts nothing.

An answer that nobody judged is in no denominator: it lowers the coverage of the run, so that a gate
does not pass on it. Prompts and answers stay in the file they came from; what is kept of them is
the digest of a prompt, which tells two imports whether they asked the same.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from relkit.core.digests import PREFIX, JsonValue, digest_of
from relkit.core.wording import counted
from relkit.safety.types import SafetyCounts
from relkit.statistics.types import TrialCosts

HASH_DIGITS = 16
"""How many hexadecimal digits of a prompt's digest stand in ids: 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedAnswer:
    """One answer of the target; ``id`` is the same in every import of the same prompt.

    ``cluster`` names what is independent of the others: the prompt (or the attack it was made
    from), never one of the answers to it. ``counts``, or ``trial`` of scores, is what it adds to
    the metrics; where it was not judged there is neither, and ``unjudged`` says why.
    """

    id: str
    cluster: str
    slices: Mapping[str, str]
    counts: SafetyCounts | None = None
    trial: TrialCosts | None = None
    unjudged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedResults:
    """What a file of another tool says about one target.

    ``target`` is what the tool calls it, ``scorer`` the tool, its version and its threshold:
    numbers of two scorers never compare. ``created`` is when the tool began, as it wrote it.
    ``prompts`` are the keys of all prompts, answered or not; ``cluster`` is what clusters are.
    """

    tool: str
    target: Mapping[str, JsonValue]
    scorer: str
    created: str | None
    prompts: tuple[str, ...]
    answers: tuple[ImportedAnswer, ...]
    notes: tuple[str, ...] = ()
    cluster: str = "prompt"

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked: the same for two targets that were asked the same."""
        return digest_of({"tool": self.tool, "prompts": sorted(self.prompts)})

    @property
    def columns(self) -> tuple[str, ...]:
        """What the answers can be cut by: the same columns of each."""
        return tuple(self.answers[0].slices) if self.answers else ()

    @property
    def unjudged(self) -> Mapping[str, int]:
        """How many answers were not judged, by reason."""
        return dict(
            sorted(Counter(item.unjudged for item in self.answers if item.unjudged).items())
        )


def prompt_key(*parts: JsonValue) -> str:
    """Return what stands for a prompt: a quarter of its SHA-256 in hexadecimal."""
    return digest_of(list(parts)).removeprefix(PREFIX)[:HASH_DIGITS]


def unjudged_note(results: ImportedResults) -> tuple[str, ...]:
    """Return a sentence for the report where answers were not judged, else nothing."""
    reasons = results.unjudged
    if not reasons:
        return ()
    listed = ", ".join(f"{total} {reason}" for reason, total in reasons.items())
    return (f"{counted(sum(reasons.values()), 'answer')} not judged, and in no rate: {listed}",)


def attacked(*, succeeded: bool) -> SafetyCounts:
    """Return what one judged attack counts."""
    return SafetyCounts(attacks=1, injections=int(succeeded))
