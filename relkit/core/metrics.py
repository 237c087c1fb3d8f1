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


def _time(name: str, text: str) -> Metric:
    return Metric(name=name, unit="ms", better="down", help=text)


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

_STAGES = {
    "endpoint": "from the end of speech to the system's end of turn",
    "asr": "from the end of turn to the final transcript",
    "retrieval": "for retrieval",
    "tool": "for calls of tools before the answer begins",
    "llm": "to the first token of the language model",
    "tts": "from the first token to the first synthesised audio",
    "playout": "from the first synthesised audio to sound: network, queue and leading silence",
    "unexplained": "over a milestone that the system did not tell",
}
STAGE_METRICS = tuple(f"stage_ms.{stage}" for stage in _STAGES)
"""The parts of a response, which sum to it; percentiles of them do not."""

_OF_TURNS = (
    _rate("no_response_rate", "share of turns that the agent did not answer in time"),
    _rate("early_response_rate", "share of turns that the agent spoke into"),
    _rate("false_eot_rate", "share of turns that the system took for ended before they were"),
    _rate("missed_eot_rate", "share of turns whose end the system did not see in time"),
    _rate("forced_eot_rate", "share of turns that only a time-out of the system ended"),
    _reached("yield_rate", "share of interruptions that made the agent stop"),
    _rate("false_yield_rate", "share of what is no turn that made the agent stop speaking"),
    _rate("false_reply_rate", "share of what is no turn that the agent answered"),
    _rate("over_budget_rate", "share of answered turns that took longer than the budget"),
    _reached("task_success", "share of conversations in which all that was expected came true"),
    _reached("pass_all_k", "chance that k repeats of a conversation all succeed"),
    _reached("pass_any_k", "chance that one of k repeats of a conversation succeeds"),
    _time("response_ms", "from the end of a turn to the agent's sound"),
    _time("eot_delay_ms", "from the end of a turn to the system's end of turn"),
    _time("barge_in_stop_ms", "from the start of an interruption to the end of the agent's sound"),
    _time("dead_air_ms", "the longest silence of both in a conversation"),
    _time("overlap_ms", "simultaneous speech per minute of conversation"),
    *(_time(f"stage_ms.{stage}", f"time {text}") for stage, text in _STAGES.items()),
)
_OF_CALLS = (
    _reached("tool_call_validity", "share of tool calls that satisfy the tool's schema"),
    _reached("tool_call_accuracy", "share of expected and made tool calls that are the same"),
    _rate("empty_argument_rate", "share of tool calls whose arguments say nothing"),
    _rate("unconfirmed_sensitive_rate", "share of sensitive tool calls without the user's own yes"),
    _rate("forbidden_tool_rate", "share of conversations that called a tool that they forbid"),
)
_OF_PARTIALS = (
    Metric(
        name="partial_churn",
        unit="ratio",
        better="down",
        help="words taken back by partials per word of the finals",
    ),
    _rate("revision_rate", "share of partials that take a word back"),
    _rate("unstable_rate", "share of utterances with a word taken back"),
    _rate("false_final_rate", "share of utterances with a final before their end"),
    _time("first_partial_ms", "from the start of speech to the first partial"),
    _time("settled_ms", "from the end of speech to the moment since when the text was the final"),
    _time("finalisation_ms", "from the end of speech to the final"),
)
_OF_BOTH = (_rate("speculation_waste", "share of answers begun on a text that was not the final"),)

CHECKED_METRICS = ("tool_call_validity", "unconfirmed_sensitive_rate")
"""What of them only a table of the agent's tools can tell."""

TURN_METRICS = tuple(metric.name for metric in (*_OF_TURNS, *_OF_CALLS, *_OF_BOTH))
"""What only conversations have (docs/conversations.md)."""

STREAM_METRICS = tuple(metric.name for metric in (*_OF_PARTIALS, *_OF_BOTH))
"""What only recognisers that give partials have (docs/streaming.md)."""

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*_ALL, *_OF_TURNS, *_OF_CALLS, *_OF_PARTIALS, *_OF_BOTH)
}
SIGNED_TIMINGS = ("settled_ms", "finalisation_ms")
"""Times that are negative where something was right early: they have no mean on a log scale."""

CONVERSATION_TIMINGS = (
    "response_ms",
    "eot_delay_ms",
    "barge_in_stop_ms",
    "dead_air_ms",
    "overlap_ms",
    "first_partial_ms",
    *SIGNED_TIMINGS,
    *STAGE_METRICS,
)
"""Single measurements of turns, conversations and streamed utterances."""

TIMING_METRICS = ("latency_ms", "first_byte_ms", *SPEECH_TIMINGS, *CONVERSATION_TIMINGS)
TIMING_STATISTICS = ("mean", "p50", "p95", "p99")
DNSMOS_METRICS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808")

STATISTICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TIMING_METRICS, TIMING_STATISTICS),
    **dict.fromkeys(SIGNED_TIMINGS, TIMING_STATISTICS[1:]),
    **dict.fromkeys(DNSMOS_METRICS, ("mean", "p10")),
    **dict.fromkeys(QUALITY_METRICS[len(DNSMOS_METRICS) :], ("mean",)),
}
"""Metrics that are measured once per item, and the statistics of them that are reported."""


def expand(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return metric names with their statistics spelled out, ``latency_ms.p95`` and so on.

    ``stage_ms`` stands for every stage of a response.
    """
    staged = [part for name in names for part in (STAGE_METRICS if name == "stage_ms" else (name,))]
    expanded: list[str] = []
    for name in staged:
        statistics = STATISTICS.get(name)
        expanded.extend(
            [name] if statistics is None else [f"{name}.{statistic}" for statistic in statistics]
        )
    return tuple(dict.fromkeys(expanded))


def split_metric(name: str) -> tuple[str, str]:
    """Return a metric's name and its statistic: ``stage_ms.asr`` and ``p95``, ``wer`` and ``""``.

    A name that no metric has is split at its last dot, as if it were one.
    """
    base, dot, statistic = name.rpartition(".")
    if name in METRICS or not dot or not statistic:
        return name, ""
    return base, statistic


def column_of(base: str) -> str:
    """Return the column of results that holds a metric's single measurements."""
    return base.replace(".", "_")


def metric_of(name: str) -> Metric:
    """Return the metric behind ``wer`` or ``latency_ms.p95``; KeyError where there is none."""
    base, statistic = split_metric(name)
    if statistic and statistic not in STATISTICS.get(base, ()):
        raise KeyError(name)
    return METRICS[base]


def help_of(name: str) -> str:
    """Return a metric's one line of help, empty for one that is not known by name."""
    try:
        return metric_of(name).help
    except KeyError:
        return ""
