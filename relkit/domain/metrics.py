"""The metrics relkit knows by name, with unit and better direction (cli.md, Metrics)."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["down", "up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric's name, unit and which direction is better; ``help`` is one line for people."""

    name: str
    unit: str
    better: Better
    help: str


def _rate(name: str, text: str) -> Metric:
    return Metric(name=name, unit="fraction", better="down", help=text)


_ALL = (
    _rate("wer", "word error rate after normalizing, all errors"),
    _rate("wer_raw", "word error rate of the texts as they came"),
    _rate("wer_capped", "word error rate with an utterance's errors capped at its length"),
    _rate("cer", "character error rate on grapheme clusters"),
    _rate("ser", "share of utterances with an error"),
    _rate("mer", "match error rate"),
    _rate("wil", "word information lost"),
    _rate("entity_error_rate", "share of labelled entities not reproduced"),
    _rate("keyword_error_rate", "share of the suite's keywords not reproduced"),
    _rate("runaway_rate", "share of utterances with more insertions than max(10, N)"),
    _rate("hallucination_rate", "share of silent or noise-only clips with any word"),
    _rate("failure_rate", "share of utterances the system did not answer"),
    Metric(name="rtf", unit="ratio", better="down", help="processing time per audio time"),
    Metric(name="rtfx", unit="ratio", better="up", help="audio time per processing time"),
    Metric(name="latency_ms", unit="ms", better="down", help="time to the whole answer"),
    Metric(name="first_byte_ms", unit="ms", better="down", help="time to the first byte"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}

TIMING_METRICS = ("latency_ms", "first_byte_ms")
TIMING_STATISTICS = ("mean", "p50", "p95", "p99")


def expand(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return metric names with timings spelled out, ``latency_ms.p95`` and so on."""
    expanded: list[str] = []
    for name in names:
        if name in TIMING_METRICS:
            expanded.extend(f"{name}.{statistic}" for statistic in TIMING_STATISTICS)
        else:
            expanded.append(name)
    return tuple(dict.fromkeys(expanded))


def metric_of(name: str) -> Metric:
    """Return the metric behind ``wer`` or ``latency_ms.p95``; KeyError where there is none."""
    base, dot, statistic = name.partition(".")
    if dot and (base not in TIMING_METRICS or statistic not in TIMING_STATISTICS):
        raise KeyError(name)
    return METRICS[base]
