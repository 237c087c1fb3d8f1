"""What values a metric can have at all: a limit beyond them never blocks, or never passes."""

import math
from dataclasses import dataclass

from relkit.domain.metrics import metric_of
from relkit.domain.quality import PREDICTED
from relkit.rules.rate_metrics import RATE_METRICS

_FIVE = (1.0, 5.0)
_PESQ = (1.0, 4.64)
_SHARE = (0.0, 1.0)
_OPEN = (0.0, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRange:
    """The lowest and highest value a metric can have, in its own unit; ``high`` may be inf."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How far two values can be apart; inf where there is no highest."""
        return self.high - self.low


def metric_range(name: str) -> MetricRange:
    """Return the range of a spelled-out metric; KeyError where there is none.

    ``wer_capped`` counts as a share: only insertions on clips without speech could carry it beyond
    1. Predicted MOS is 1 to 5 (ITU-T P.835, P.808), PESQ's MOS-LQO 1 to 4.64 (P.862.2).
    """
    metric = metric_of(name)
    base = metric.name
    if base in PREDICTED:
        low, high = _FIVE
    elif base == "pesq":
        low, high = _PESQ
    elif base in ("stoi", "wer_capped"):
        low, high = _SHARE
    else:
        known = RATE_METRICS.get(name)
        low, high = _SHARE if known is not None and known.bounded else _OPEN
    return MetricRange(low=low, high=high)
