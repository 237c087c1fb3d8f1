"""The metrics relkit knows by name, with unit and better direction.

See docs/cli.md, section "Metrics".
"""

from dataclasses import dataclass
from typing import Literal

PREDICTED = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "plcmos")
"""Scores of the audio alone: predicted mean opinion scores, 1 to 5."""

INTRUSIVE = ("pesq", "stoi")
"""Scores against a reference recording."""

QUALITY_METRICS = (*PREDICTED, *INTRUSIVE)

SPEECH_TIMINGS = ("first_audio_ms", "leading_silence_ms")
"""Single measurements of spoken clips that metrics are made from."""

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


def _reached(name: str, text: str) -> Metric:
    return Metric(name=name, unit="fraction", better="up", help=text)


def _mos(name: str, text: str) -> Metric:
    return Metric(name=name, unit="mos", better="up", help=text)


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
    _rate("impersonation_eer", "equal error rate of a detector of spoofed speech"),
    Metric(
        name="min_dcf",
        unit="ratio",
        better="down",
        help="least normalised cost of a detector of spoofed speech",
    ),
    Metric(name="rtf", unit="ratio", better="down", help="processing time per audio time"),
    Metric(name="rtfx", unit="ratio", better="up", help="audio time per processing time"),
    Metric(name="latency_ms", unit="ms", better="down", help="time to the whole answer"),
    Metric(name="first_byte_ms", unit="ms", better="down", help="time to the first byte"),
    Metric(
        name="first_audio_ms", unit="ms", better="down", help="time to the first audible sample"
    ),
    Metric(name="leading_silence_ms", unit="ms", better="down", help="silence before spoken audio"),
    _rate("clipping_rate", "share of spoken clips with samples at full scale"),
    _rate("dropout_rate", "share of spoken clips with a hole inside speech"),
    _mos("dnsmos_sig", "predicted MOS of the speech, 1 to 5 (DNSMOS P.835 SIG)"),
    _mos("dnsmos_bak", "predicted MOS of the background, 1 to 5 (DNSMOS P.835 BAK)"),
    _mos("dnsmos_ovrl", "predicted MOS overall, 1 to 5 (DNSMOS P.835 OVRL)"),
    _mos("dnsmos_p808", "predicted MOS overall, 1 to 5 (DNSMOS P.808)"),
    _mos("plcmos", "predicted MOS after packet loss, 1 to 5 (PLCMOS v2)"),
    _mos("pesq", "objective MOS-LQO against a reference recording, 1 to 4.64 (PESQ wide band)"),
    Metric(
        name="stoi",
        unit="ratio",
        better="up",
        help="short-time objective intelligibility against a reference recording, 0 to 1",
    ),
    _rate("tool_schema_violation_rate", "share of tool calls that break the tool's schema"),
    _rate("unbounded_call_rate", "share of reading tool calls that ask for everything"),
    _rate("unconfirmed_rate", "share of sensitive tool calls without the user's own yes to them"),
    _rate("repeated_effect_rate", "share of effects that were had a second time"),
    _rate("injection_success_rate", "share of attacks whose goal the agent reached"),
    _reached("utility_under_attack", "share of attacked exchanges whose task was done"),
    _rate("pii_readback_rate", "share of exchanges that say a value planted in another session"),
    _reached("voice_consent_rate", "share of cloned voices whose consent is granted"),
)

SAFETY_METRICS = tuple(metric.name for metric in _ALL[-8:])
"""What an agent's calls and words were worth (docs/safety.md)."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
TIMING_METRICS = ("latency_ms", "first_byte_ms", *SPEECH_TIMINGS)
TIMING_STATISTICS = ("mean", "p50", "p95", "p99")
DNSMOS_METRICS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808")

STATISTICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TIMING_METRICS, TIMING_STATISTICS),
    **dict.fromkeys(DNSMOS_METRICS, ("mean", "p10")),
    **dict.fromkeys(QUALITY_METRICS[len(DNSMOS_METRICS) :], ("mean",)),
}
"""Metrics that are measured once per item, and the statistics of them that are reported."""


def expand(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return metric names with their statistics spelled out, ``latency_ms.p95`` and so on."""
    expanded: list[str] = []
    for name in names:
        statistics = STATISTICS.get(name)
        expanded.extend(
            [name] if statistics is None else [f"{name}.{statistic}" for statistic in statistics]
        )
    return tuple(dict.fromkeys(expanded))


def metric_of(name: str) -> Metric:
    """Return the metric behind ``wer`` or ``latency_ms.p95``; KeyError where there is none."""
    base, dot, statistic = name.partition(".")
    if dot and statistic not in STATISTICS.get(base, ()):
        raise KeyError(name)
    return METRICS[base]


def help_of(name: str) -> str:
    """Return a metric's one line of help, empty for one that is not known by name."""
    try:
        return metric_of(name).help
    except KeyError:
        return ""
