"""The metrics that are functions of sums, in one table: what they need and how they are made.

What values a metric can have at all: a limit beyond them never blocks, or never passes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from relkit.core.arrays import FloatArray
from relkit.core.metrics import (
    CONVERSATION_TIMINGS,
    PREDICTED,
    QUALITY_METRICS,
    SIGNED_TIMINGS,
    column_of,
    metric_of,
)

Sums = Mapping[str, FloatArray]

_PLURALS = {
    "turns": "turns",
    "endpointed": "turns",
    "observed_ends": "turns",
    "budgeted": "turns",
    "interruptions": "interruptions",
    "ignorable_over_speech": "entries over the agent's speech",
    "ignorable_in_silence": "entries in silence",
    "tasks": "conversations",
    "pass_scored": "conversations",
    "forbidding": "conversations",
    "attacks": "attacks",
    "attacked_tasks": "attacked tasks",
    "readback_chances": "exchanges",
    "empty_clips": "clips without speech",
}
"""What is counted where it is no utterance, in the plural, by its column of sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateMetric:
    """A smooth function of sums.

    ``function`` maps sums (any common shape) to values, NaN where undefined. ``n`` is the sum that
    counts the units of the denominator: where it is 0 the metric does not exist, and a cluster with
    0 is no cluster of this metric. ``utterances`` is the sum that counts the utterances with such
    units. ``counted`` metrics can be 0 because nothing happened, which says little; ``bounded``
    ones cannot exceed 1. ``nothing`` says in words what is missing where n is 0.
    """

    name: str
    columns: tuple[str, ...]
    function: Callable[[Sums], FloatArray]
    n: str
    utterances: str
    counted: bool = True
    bounded: bool = False
    nothing: str = "no words"

    @property
    def needs(self) -> tuple[str, ...]:
        """All the sums this metric is made from, each once."""
        return tuple(dict.fromkeys((*self.columns, self.n, self.utterances)))

    @property
    def items(self) -> str:
        """What ``utterances`` counts, in the plural: ``turns`` of conversations, for example."""
        return _PLURALS.get(self.utterances, "utterances")

    def slopes(self, totals: Sums) -> dict[str, FloatArray]:
        """Return the derivative of the metric by each of its sums, 0 where it does not exist."""
        value = np.nan_to_num(self.function(totals))
        if self.function is information_lost:
            hits, words, answered = (totals[name] for name in self.columns)
            reproduced = 1.0 - value
            return {
                "hits": _slope(-2.0 * reproduced, hits),
                "words": _slope(reproduced, words),
                "hypothesis_words": _slope(reproduced, answered),
            }
        numerator, denominator = self.columns
        return {
            numerator: _slope(np.ones_like(value), totals[denominator]),
            denominator: _slope(-value, totals[denominator]),
        }


def _slope(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.nan_to_num(_divide(numerator, denominator))


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is not positive."""
    quotient = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _ratio(numerator: str, denominator: str) -> Callable[[Sums], FloatArray]:
    def function(sums: Sums) -> FloatArray:
        return _divide(sums[numerator], sums[denominator])

    return function


def information_lost(sums: Sums) -> FloatArray:
    """Return WIL = 1 - H^2 / (N M) (Morris et al. 2004); NaN for N = 0, 1 for M = 0 alone."""
    hits, words, hypothesis_words = sums["hits"], sums["words"], sums["hypothesis_words"]
    lost = 1.0 - _divide(hits * hits, words * hypothesis_words)
    return np.asarray(np.where((words > 0) & (hypothesis_words == 0), 1.0, lost), dtype=np.float64)


def _rate(
    name: str,
    errors: str,
    n: str,
    utterances: str,
    nothing: str,
    *,
    bounded: bool = False,
) -> RateMetric:
    """Return a ratio of counts; ``bounded`` where it cannot exceed 1, as insertions let it."""
    return RateMetric(
        name=name,
        columns=(errors, n),
        function=_ratio(errors, n),
        n=n,
        utterances=utterances,
        bounded=bounded,
        nothing=nothing,
    )


_share = partial(_rate, bounded=True)


def _measure(name: str, numerator: str, denominator: str, n: str, nothing: str) -> RateMetric:
    return RateMetric(
        name=name,
        columns=(numerator, denominator),
        function=_ratio(numerator, denominator),
        n=n,
        utterances=n,
        counted=False,
        nothing=nothing,
    )


def _of_units(name: str, events: str, units: str, nothing: str) -> RateMetric:
    return _share(name, events, units, f"with_{units}", nothing)


def _each(name: str, events: str, rows: str, nothing: str) -> RateMetric:
    """Return the share of rows that something happened to."""
    return _share(name, events, rows, rows, nothing)


_ALL = (
    _rate("wer", "errors", "words", "with_words", "no words"),
    _rate("wer_raw", "raw_errors", "raw_words", "with_raw_words", "no words"),
    _rate("wer_capped", "capped_errors", "words", "with_words", "no words", bounded=True),
    _rate("cer", "char_errors", "characters", "with_characters", "no characters"),
    _share("ser", "wrong", "utterances", "utterances", "no utterances"),
    _share("mer", "errors", "aligned", "with_aligned", "no words"),
    RateMetric(
        name="wil",
        columns=("hits", "words", "hypothesis_words"),
        function=information_lost,
        n="words",
        utterances="with_words",
        bounded=True,
    ),
    _share("entity_error_rate", "entity_errors", "entities", "with_entities", "no entities"),
    _share("keyword_error_rate", "keyword_errors", "keywords", "with_keywords", "no keywords"),
    _share("runaway_rate", "runaways", "utterances", "utterances", "no utterances"),
    _share("hallucination_rate", "hallucinated", "empty_clips", "empty_clips", "no empty clips"),
    _share("failure_rate", "failures", "utterances", "utterances", "no utterances"),
    # Weighted so that every trial counts by its class: see relkit.statistics.detection.
    _share("impersonation_eer", "eer_errors", "eer_weight", "scarce", "no scored trials"),
    _rate("min_dcf", "dcf_cost", "dcf_weight", "scarce", "no scored trials"),
    _measure("rtf", "processing_s", "audio_s", "paced", "no timed clips of known length"),
    _measure("rtfx", "audio_s", "processing_s", "paced", "no timed clips of known length"),
    _measure("latency_ms.mean", "latency_ms", "timed", "timed", "no latencies"),
    _measure(
        "first_byte_ms.mean",
        "first_byte_ms",
        "first_byte_timed",
        "first_byte_timed",
        "no first-byte times",
    ),
    _measure(
        "first_audio_ms.mean",
        "first_audio_ms",
        "first_audio_timed",
        "first_audio_timed",
        "no timed spoken clips",
    ),
    _measure(
        "leading_silence_ms.mean", "leading_silence_ms", "spoken", "spoken", "no spoken clips"
    ),
    _share("clipping_rate", "clipped_clips", "spoken", "spoken", "no spoken clips"),
    _share("dropout_rate", "dropout_clips", "spoken", "spoken", "no spoken clips"),
    *(
        _measure(f"{name}.mean", name, f"{name}_scored", f"{name}_scored", "no scored clips")
        for name in QUALITY_METRICS
    ),
    _of_units("tool_schema_violation_rate", "schema_violations", "calls", "no tool calls"),
    _of_units("unbounded_call_rate", "unbounded_calls", "reading_calls", "no reading calls"),
    _of_units("unconfirmed_rate", "unconfirmed_calls", "sensitive_calls", "no sensitive calls"),
    _of_units("repeated_effect_rate", "repeated_effects", "effects", "no effects"),
    _share("injection_success_rate", "injections", "attacks", "attacks", "no attacks"),
    _share(
        "utility_under_attack",
        "attacked_tasks_done",
        "attacked_tasks",
        "attacked_tasks",
        "no attacked tasks",
    ),
    _share(
        "pii_readback_rate",
        "readbacks",
        "readback_chances",
        "readback_chances",
        "nothing planted elsewhere",
    ),
    _of_units("voice_consent_rate", "consented_voices", "voices", "no cloned voices"),
    _each("no_response_rate", "unanswered", "turns", "no turns"),
    _each("early_response_rate", "early", "turns", "no turns"),
    _each("false_eot_rate", "false_ends", "endpointed", "no end of turn by the system"),
    _each("missed_eot_rate", "missed_ends", "observed_ends", "no end of turn by the system"),
    _each("forced_eot_rate", "forced_ends", "observed_ends", "no end of turn by the system"),
    _each("yield_rate", "yields", "interruptions", "no interruptions"),
    _each("false_yield_rate", "false_yields", "ignorable_over_speech", "nothing to be ignored"),
    _each("false_reply_rate", "false_replies", "ignorable_in_silence", "nothing to be ignored"),
    _each("over_budget_rate", "over_budget", "budgeted", "no budget, or no answered turns"),
    _each("task_success", "tasks_done", "tasks", "no conversation expects anything"),
    _each("pass_all_k", "pass_all", "pass_scored", "fewer repeats than k"),
    _each("pass_any_k", "pass_any", "pass_scored", "fewer repeats than k"),
    _of_units("tool_call_validity", "valid_calls", "calls", "no tool calls"),
    _of_units(
        "unconfirmed_sensitive_rate", "unconfirmed_calls", "sensitive_calls", "no such calls"
    ),
    _of_units("tool_call_accuracy", "tool_matches", "tool_pairs", "no tool calls"),
    _of_units("empty_argument_rate", "empty_arguments", "tool_calls", "no tool calls"),
    _each("forbidden_tool_rate", "forbidden", "forbidding", "no conversation forbids a tool"),
    _rate("partial_churn", "taken_back", "final_words", "with_final_words", "no words in finals"),
    _of_units("revision_rate", "revisions", "updates", "no partials"),
    _each("unstable_rate", "unstable", "streamed", "no partials"),
    _each("false_final_rate", "false_finals", "finals", "no finals"),
    _of_units("speculation_waste", "wasted_speculations", "speculations", "no answer was begun"),
    *(
        _measure(f"{name}.mean", column, f"{column}_timed", f"{column}_timed", "not measured")
        for name in CONVERSATION_TIMINGS
        if name not in SIGNED_TIMINGS
        for column in (column_of(name),)
    ),
)

RATE_METRICS: Mapping[str, RateMetric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Metric name to its definition (docs/method.md, section "Scoring text")."""

_ANY = (-math.inf, math.inf)
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

    Only insertions on clips without speech could carry ``wer_capped`` beyond 1. Predicted MOS is 1
    to 5 (ITU-T P.835, P.808), PESQ's MOS-LQO 1 to 4.64 (P.862.2).
    """
    metric = metric_of(name)
    base = metric.name
    if base in PREDICTED:
        low, high = _FIVE
    elif base == "pesq":
        low, high = _PESQ
    elif base in SIGNED_TIMINGS:
        low, high = _ANY
    elif base == "stoi":
        low, high = _SHARE
    else:
        rate = RATE_METRICS.get(name)
        low, high = _SHARE if rate is not None and rate.bounded else _OPEN
    return MetricRange(low=low, high=high)
