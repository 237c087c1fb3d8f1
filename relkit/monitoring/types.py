"""What a look at live traffic leaves behind: one record, whatever was looked at.

The gate's ``requires:`` reads it as a check; JUnit and GitHub's summary are made from it. Further
what a metrics server gives: samples on one grid of times, as every monitor reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from relkit.core.arrays import FloatArray
from relkit.core.slices import OVERALL
from relkit.core.values import OMITTED, OPTIONAL, REQUIRED, Digest, Named, Shape, Time

Watch = Literal["canary", "drift", "cost", "slo", "health", "capacity", "abuse", "consent"]
"""The command that looked."""

GateWord = Literal["pass", "fail", "error", "no_data", "inconclusive"]
"""What a gate would make of it, in the gate's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """Something that was judged by itself: a trigger, a column, a window, a stage.

    ``advisory`` checks are shown and do not count.
    """

    name: str
    slice: str = OVERALL
    verdict: GateWord
    reason: str
    advisory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFinding:
    """The record of one look: ``verdict`` in the command's own word, with the reason.

    ``policy`` is the policy by name and digest. ``report`` is the document that ``--json`` prints.
    ``subject`` is the release it is about, where it is about one, and ``artifact`` the digest of
    that release's artifact, where a registry knows it.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.finding/v1"] = field(default="relkit.finding/v1", metadata=REQUIRED)
    kind: Watch
    policy: Named
    enforcement: Literal["enforce", "shadow"]
    verdict: str
    gate_verdict: GateWord
    reason: str
    created: Time
    subject: str | None
    checks: tuple[LiveCheck, ...]
    report: Mapping[str, object]
    artifact: Digest | None = field(default=None, metadata=OPTIONAL | OMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series: its labels, and a value per time of the grid; NaN where there is none."""

    labels: Mapping[str, str]
    values: FloatArray = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSamples:
    """What one range query gave, aligned: every series has a value for every time.

    ``times`` are seconds since 1970, ``step`` apart and rising. ``warnings`` are the server's own
    words, such as that a store did not answer: the samples may be a part then. ``refused`` counts
    values that are no finite number; they are NaN.
    """

    query: str
    step: int
    times: npt.NDArray[np.int64] = field(compare=False, repr=False)
    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Increases:
    """What counters counted in each step of their grid, over all of their series.

    ``by_series`` has a row per series and ``total`` is its sum over rows; step i covers the time
    from ``times[i - 1]`` to ``times[i]``, step 0 is always 0. ``present`` says where any series had
    a sample. ``resets`` counts falls of a counter, each a restart from 0; ``began`` series that
    appeared later and count from 0, ``adopted`` those that appeared with more than that can be.
    """

    by_series: FloatArray = field(compare=False, repr=False)
    total: FloatArray = field(compare=False, repr=False)
    present: npt.NDArray[np.bool_] = field(compare=False, repr=False)
    resets: int = 0
    began: int = 0
    adopted: int = 0
