"""A run: what it was asked to do, under which conditions, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relkit.domain.datasets import DatasetVersion
from relkit.domain.suites import Scalar, Suite

RunStatus = Literal["running", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The system under test by digest.

    ``digest`` covers the effective system with its artifact; ``artifact`` is the digest of what
    can be served (a model folder, a file of answers), None where there is none to digest.
    """

    digest: str
    artifact: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """Everything that decides a run's numbers, written before the first clip is decoded.

    ``load`` is the load fingerprint (cores, processes, threads, hardware): latencies under
    different ones are never compared. ``versions`` maps a distribution to its version.
    ``source`` names the run whose predictions a rescored run uses.
    """

    run: str
    created: str
    suite: Suite
    dataset: DatasetVersion
    candidate: Candidate
    normalizer: str
    normalizer_digest: str
    repeats: int
    load: Mapping[str, Scalar]
    load_digest: str
    versions: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
