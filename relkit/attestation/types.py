"""What a decision rests on, so that others can recompute it, and what is signed beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from relkit.gate.types import GateDecision, Override, Rule, Verdict

Against = Literal["baseline", "anchor"]
"""What a candidate is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsTable:
    """The sums behind one metric, by slice and cluster.

    A row is (slice number, cluster number, the candidate's sums, then those of what it is compared
    with): slices are numbered as in ``slices``, sums stand in the order of ``columns``. Without
    ``against`` the candidate stands alone. Clusters are numbered from 0 in the order they were
    aggregated in: the numbers lead back to nobody, and mean nothing in another table. In a table
    ``by`` repeat the second number is the repeat of the run.
    """

    metric: str
    slices: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    against: Against | None = None
    by: Literal["cluster", "repeat"] = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatistics:
    """What the interval of one percentile in one slice rests on.

    ``value`` is the percentile; ``rows`` are (values, values above it) by cluster, tied values
    counted by a fraction; ``values`` counts the measurements, ``utterances`` those of the slice.
    ``low`` is the measurement of rank ``low_rank`` in ascending order (1 the smallest), None where
    there is no such rank; ``high`` likewise. The measurements themselves are not given: that these
    are the ones of those ranks has to be believed. ``other`` is the same of the run that it is
    compared with, its rows of the same clusters; the ranks are then those of the difference.
    """

    slice: str
    value: float
    values: int
    utterances: int
    rows: tuple[tuple[float, float], ...]
    low_rank: int | None = None
    low: float | None = None
    high_rank: int | None = None
    high: float | None = None
    other: "OrderStatistics | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileTable:
    """The percentiles of measurements by slice; ``share`` is 0.95 for p95.

    Without ``against`` the candidate stands alone.
    """

    metric: str
    share: float
    slices: tuple[OrderStatistics, ...]
    against: Against | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEvidence:
    """What the checks of one part rest on: the rules as they were read, and the sums.

    ``part`` is None for a policy without parts.
    """

    part: str | None
    rules: tuple[Rule, ...]
    sums: tuple[SumsTable, ...] = ()
    percentiles: tuple[PercentileTable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionStatement:
    """A decision with the evidence behind it, as it is signed.

    ``policies`` maps the name of a policy to the document it was read from, as JSON: what the
    digests of policies are made of. ``overrides`` are those that were in force for the candidate
    when it was decided: they change no verdict, and are shown with it.
    """

    decision: GateDecision
    evidence: tuple[PartEvidence, ...] = ()
    policies: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key that is believed: its id, and whether it made a signature over a message."""

    key: str
    made: Callable[[bytes, bytes], bool]
    """Called with (signature, message)."""


def candidate_digests(decision: GateDecision) -> tuple[tuple[str, str, bool], ...]:
    """Return (name, digest, whether it is an artifact) of what a decision is about, part by part.

    Without an artifact digest the digest of the candidate's settings stands for it.
    """
    return tuple(
        (
            part.name or "candidate",
            part.candidate.artifact or part.candidate.candidate,
            part.candidate.artifact is not None,
        )
        for part in decision.parts
    )


def why_not_promotable(decision: GateDecision) -> tuple[str, ...]:
    """Return every reason why a decision can promote nothing, in words; none where it can."""
    reasons = []
    if decision.verdict is not Verdict.PASS:
        reasons.append(f"the verdict is {decision.verdict}")
    if decision.enforcement != "enforce":
        reasons.append("the policy's enforcement is shadow: such a decision never promotes")
    if not decision.parts:
        reasons.append("no candidate was judged")
    for name, _, artifact in candidate_digests(decision):
        if not artifact:
            reasons.append(
                f"{name} has no artifact digest: the subject is the digest of its settings"
            )
    return tuple(reasons)
