"""What a page for people is made from: a report, its rows, and what may be shown of them.

And what is made of it for those outside of the team.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.comparison.types import CompareReport, Row
from relkit.conversation.types import MeasuredConversation
from relkit.core.values import Count
from relkit.disclosure.types import Subjects
from relkit.evaluation.types import EvalReport, RunHeader
from relkit.gate.types import GateDecision, Override, Verdict


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
    ``taken_back`` are by slice the words that a stream took back most, None unless asked for.
    ``conversations`` are those that the run held, None where it is about something else.
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
    conversations: tuple[MeasuredConversation, ...] | None = None
    taken_back: Mapping[str, tuple[tuple[str, int], ...]] | None = None


NOT_SHARED = "(not shared)"
"""Stands for the values of a column, and for names, that relkit.yaml does not share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNumber:
    """A number that may leave the team, on its grid with the ends of its interval.

    ``value`` is None where it is not shown, and ``missing`` then says why in words ("fewer than 10
    events"); no interval: ``low`` and ``high`` are None. ``unit`` is the metric's (``fraction``,
    ``ms``). ``basis`` says in bands how much is in it, "-" where that is not shown either.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "fraction"
    basis: str = "-"
    missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRow:
    """A number or a check that may leave the team, in words.

    ``verdict`` is None where nothing was judged, ``mode`` empty where a check is required.
    ``basis`` says in bands how much is in it, ``observed`` on a grid what was measured, "-" where
    that is not shown. ``slices`` is how many slices the row stands for: those without a name are
    one row.
    """

    name: str
    metric: str
    slice: str
    verdict: Verdict | None = None
    mode: str = ""
    code: str = ""
    observed: str = "-"
    allowed: str = "-"
    basis: str = "-"
    slices: Count = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedDocument:
    """What leaves the team of a report, a decision or a look at live traffic.

    ``verdict`` is in the words of the command, ``outcome`` in a gate's; both are None for a report.
    ``blocks`` says whether it stops anything. ``subjects`` is whose data it is, ``k`` the fewest
    people of a number. ``hidden`` counts numbers and checks that are not shown, for they are of
    fewer people, or nobody knows of how many. ``about`` are runs and datasets in words. ``marker``
    is the hidden line by which a comment is found again.
    """

    title: str
    created: str
    verdict: str | None
    outcome: Verdict | None
    blocks: bool
    subjects: Subjects
    k: Count
    rows: tuple[SharedRow, ...]
    hidden: Count
    about: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    marker: str = ""
