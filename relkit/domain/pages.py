"""What a page for people is made from: a report, its rows, and what may be shown of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.counts import ErrorCounts
from relkit.domain.decisions import Override
from relkit.domain.gates import GateDecision
from relkit.domain.reports import EvalReport
from relkit.domain.results import Texts
from relkit.domain.runs import RunHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One utterance and repeat as a page shows it.

    ``counts`` is None where the item was unusable. ``texts`` is None unless transcripts were asked
    for; ``audio`` is the digest of the decoded samples, None where it is not known or not asked
    for. ``measures`` are further numbers of the row (predicted MOS and the like). Times in ms,
    ``duration`` in s.
    """

    id: str
    repeat: int = 0
    slices: Mapping[str, str] = field(default_factory=dict)
    counts: ErrorCounts | None = None
    runaway: bool = False
    loop: bool = False
    failure: str | None = None
    unusable: str | None = None
    latency_ms: float | None = None
    first_byte_ms: float | None = None
    duration: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    texts: Texts | None = None
    audio: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedAudio:
    """Clips that travel inside a page: id to encoded bytes, all of one media type.

    ``left_out`` says in words why clips are missing, with how many.
    """

    media_type: str
    clips: Mapping[str, bytes]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A run for one page, beside an older one where there is a ``baseline``.

    ``with_text`` says that rows carry their transcripts; ``audio`` is None unless asked for.
    ``decision`` is a gate's about this run, where one is shown, with the ``overrides`` of it.
    """

    header: RunHeader
    report: EvalReport
    rows: tuple[Row, ...]
    baseline: EvalReport | None = None
    with_text: bool = False
    audio: EmbeddedAudio | None = None
    decision: GateDecision | None = None
    overrides: tuple[Override, ...] = ()
