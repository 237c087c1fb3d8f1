"""What a page for people is made from: a report, its rows, and what may be shown of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.comparison.types import CompareReport, Row
from relkit.evaluation.types import EvalReport, RunHeader
from relkit.gate.types import GateDecision, Override


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
    ``compared`` is the paired comparison with the baseline, or in words why there is none.
    """

    header: RunHeader
    report: EvalReport
    rows: tuple[Row, ...]
    baseline: EvalReport | None = None
    with_text: bool = False
    audio: EmbeddedAudio | None = None
    decision: GateDecision | None = None
    overrides: tuple[Override, ...] = ()
    compared: CompareReport | str | None = None
