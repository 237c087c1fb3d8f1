"""What comparing two transcripts gives, and why another tool's number differs from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Protocol

from relkit.core.values import ErrorCounts, Shape
from relkit.core.wording import count, safe


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingStep:
    """How many word errors one step of the normalizer hid (negative: it added that many)."""

    FILE: ClassVar = Shape(derived={"hidden": "errors_after"})

    step: str
    errors_before: int
    errors_after: int

    @property
    def hidden(self) -> int:
        """Errors that were there before the step and not after it."""
        return self.errors_before - self.errors_after

    @property
    def effect(self) -> str:
        """What the step did, for people: ``80 hidden``, ``1 added``."""
        return f"{count(abs(self.hidden))} {'added' if self.hidden < 0 else 'hidden'}"

    @property
    def sentence(self) -> str:
        """A line for people."""
        before, after = count(self.errors_before), count(self.errors_after)
        return (
            f"normalizer step {safe(self.step)}: {before} word errors before, {after} after "
            f"({self.effect})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityType:
    """How labelled entities of one type came out: found in references, and wrong among them."""

    FILE: ClassVar = Shape(derived={"rate": "errors"})

    type: str
    entities: int
    errors: int

    @property
    def rate(self) -> float | None:
        """Errors / entities as a fraction; None without an entity."""
        return self.errors / self.entities if self.entities else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredText:
    """What comparing one hypothesis with its reference gave; no text inside.

    ``counts`` are on normalized tokens, ``raw`` on the tokens as they came. ``stage_errors`` are
    the word errors after each step of the normalizer, raw first. Entities and keywords that could
    not be found in the reference are left out of their totals and counted as ``unlocated``.
    ``entity_marks`` says of each labelled entity, in the order of the labels, whether it is wrong,
    None where it was not found.
    """

    counts: ErrorCounts
    raw: ErrorCounts
    characters: ErrorCounts
    entities: int = 0
    entity_errors: int = 0
    keywords: int = 0
    keyword_errors: int = 0
    unlocated: int = 0
    entity_marks: tuple[bool | None, ...] = ()
    loop: bool = False
    stage_errors: tuple[int, ...] = ()

    @property
    def runaway(self) -> bool:
        """I > max(10, N) (docs/method.md, section "Scoring text")."""
        return self.counts.insertions > max(10, self.counts.reference_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Reference and hypothesis of one item, raw and normalized; never uploaded."""

    reference: str
    hypothesis: str | None
    reference_normalized: str
    hypothesis_normalized: str | None


class Normalizer(Protocol):
    """A named, versioned text normalizer made of steps."""

    @property
    def name(self) -> str:
        """The name a suite uses."""

    @property
    def digest(self) -> str:
        """SHA-256 over name, versions and every rule that shapes the output."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps in order; empty for ``none``."""

    def stages(self, text: str) -> tuple[str, ...]:
        """Return the text after each step, in order; the last one is the normalized text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrnOptions:
    """How the marks of NIST's TRN format count; the defaults are sclite's.

    ``optional_deletable``: a word in parentheses that is not there counts as correct (sclite
    ``-D``). ``fragments``: ``fi-`` matches every word it begins, ``-icks`` every word it ends
    (``-F``). ``case_sensitive``: texts and ids are compared as written (``-s``), else in lower
    case.
    """

    optional_deletable: bool = False
    fragments: bool = False
    case_sensitive: bool = False


class CountTable(Protocol):
    """Error counts of n utterances, made one at a time when asked for."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, row: int) -> ErrorCounts:
        """Return the counts of one utterance; IndexError outside of the n rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """One reason why two word error rates differ: its name, a sentence, and both rates.

    Rates are exact fractions E / N. ``touched`` is the number of utterances whose tokens the step
    changed, or that it added.
    """

    name: str
    sentence: str
    before: Fraction
    after: Fraction
    touched: int

    @property
    def effect(self) -> Fraction:
        """What the step adds to the rate."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """From another library's word error rate to ours, in steps whose effects add up exactly.

    ``theirs`` and ``same_tokens`` are the library's counts and ours on the very tokens that the
    library made: E is the same, the split into S, D and I need not be. ``start`` and ``end`` are
    None, and there are no steps, where a rate on the way has no reference word to divide by.
    """

    library: str
    version: str
    theirs: ErrorCounts
    same_tokens: ErrorCounts
    ours: ErrorCounts
    start: Fraction | None
    end: Fraction | None
    steps: tuple[ExplainedStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What scoring one transcript against another gave.

    ``counts`` are on normalized tokens, ``raw_counts`` on the tokens as they came.
    ``capped_errors`` are the errors with those of an utterance held at max(1, N); ``wrong``
    utterances have an error, ``runaways`` more than max(10, N) insertions
    (docs/method.md, section "Scoring text"). ``failures`` are references without an answer, all
    their words deleted; ``failed`` are their rows. ``ignored_segments`` of an STM file are not
    scored, because it says so. ``ids`` and ``by_utterance`` are in the order of
    the reference.
    """

    utterances: int
    counts: ErrorCounts
    raw_counts: ErrorCounts
    character_errors: int
    characters: int
    capped_errors: int
    wrong: int
    runaways: int
    failed: tuple[int, ...]
    normalizer: str
    normalizer_digest: str
    scorer: str
    masking: tuple[MaskingStep, ...]
    ids: Sequence[str]
    by_utterance: CountTable
    explanation: Explanation | None = None
    ignored_segments: int = 0

    @property
    def failures(self) -> int:
        """References that no hypothesis answered."""
        return len(self.failed)

    @property
    def wer(self) -> float | None:
        """Word error rate as a fraction; None without a reference word."""
        return self.counts.rate

    @property
    def wer_raw(self) -> float | None:
        """Word error rate of the texts as they came."""
        return self.raw_counts.rate

    @property
    def wer_capped(self) -> float | None:
        """Word error rate with the errors of an utterance held at max(1, N)."""
        return _share(self.capped_errors, self.counts.reference_length)

    @property
    def cer(self) -> float | None:
        """Character error rate on grapheme clusters; None without a reference character."""
        return _share(self.character_errors, self.characters)

    @property
    def ser(self) -> float | None:
        """Share of utterances with an error."""
        return _share(self.wrong, self.utterances)

    @property
    def runaway_rate(self) -> float | None:
        """Share of utterances with more than max(10, N) insertions."""
        return _share(self.runaways, self.utterances)


def _share(part: int, total: int) -> float | None:
    return part / total if total else None
