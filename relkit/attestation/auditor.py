"""Verify a signed relkit decision without relkit, and judge it again from the sums inside.

One file for auditors: Python 3.11's standard library, and `cryptography` for the signature (numpy,
where it is installed, makes it faster and changes nothing). It was written apart from relkit's own
rules and shares no code with them: where the two disagree, one is wrong. What it checks: the
Ed25519 signature over the DSSE envelope, times, subject, serial, policy digest, that the rules are
those of the policy, every check's numbers from the per-cluster sums, each verdict, and the verdict
of all. Of a canary's decision: every bet from the histogram of units, the evidence, what is ruled
out, the split of traffic, and the verdict. What it cannot know has to be believed: that the sums
are those of the runs or of the traffic, which measurements stand at the ranks of a percentile, how
long a step has lasted and how many turns were lost.

    python verify_decision.py decision.json --key relkit.pub [--min-serial N] [--artifact D]

Exits 0 where all is well, 1 where anything is not, 2 where it cannot begin.
"""

# ruff: noqa: PLR2004 - the constants of the formulas stand in them, as an auditor reads them

import argparse
import base64
import binascii
import hashlib
import json
import math
import statistics
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE = "urn:relkit:gate-decision:v1"
CANARY = "urn:relkit:canary-decision:v1"
STATEMENT = "https://in-toto.io/Statement/v1"
MAX_BYTES, MAX_SIGNATURES, MAX_DEPTH = 256 * 2**20, 64, 100
SKEW_S = 60
RELATIVE = 1e-9
SEARCHED = 1e-5  # of what is found by bisection
ORDER = ("fail", "error", "no_data", "inconclusive", "pass")
UNDECIDED = ("error", "inconclusive")

UNKNOWABLE = frozenset(
    [
        "unknown_metric",
        "not_cut",
        "other_load",
        "no_slice",
        "slice_missing",
        "no_baseline",
        "not_comparable",
        "metric_missing",
        "no_error_rate",
    ]
)

NEW = "new since"
Json = dict[str, Any]
Sums = dict[str, float]


class Refused(Exception):
    """The file is not to be believed, for one reason."""


# -- metrics: rates are functions of sums ------------------------------------------------------

RATES = {  # name: errors, units, utterances with such units
    "wer": ("errors", "words", "with_words"),
    "wer_raw": ("raw_errors", "raw_words", "with_raw_words"),
    "cer": ("char_errors", "characters", "with_characters"),
    "min_dcf": ("dcf_cost", "dcf_weight", "scarce"),
    "partial_churn": ("taken_back", "final_words", "with_final_words"),
}

SHARES = {  # the same, and never above 1
    "wer_capped": ("capped_errors", "words", "with_words"),
    "ser": ("wrong", "utterances", "utterances"),
    "mer": ("errors", "aligned", "with_aligned"),
    "entity_error_rate": ("entity_errors", "entities", "with_entities"),
    "keyword_error_rate": ("keyword_errors", "keywords", "with_keywords"),
    "runaway_rate": ("runaways", "utterances", "utterances"),
    "hallucination_rate": ("hallucinated", "empty_clips", "empty_clips"),
    "failure_rate": ("failures", "utterances", "utterances"),
    "clipping_rate": ("clipped_clips", "spoken", "spoken"),
    "dropout_rate": ("dropout_clips", "spoken", "spoken"),
    "impersonation_eer": ("eer_errors", "eer_weight", "scarce"),
    "tool_schema_violation_rate": ("schema_violations", "calls", "with_calls"),
    "unbounded_call_rate": ("unbounded_calls", "reading_calls", "with_reading_calls"),
    "unconfirmed_rate": ("unconfirmed_calls", "sensitive_calls", "with_sensitive_calls"),
    "repeated_effect_rate": ("repeated_effects", "effects", "with_effects"),
    "injection_success_rate": ("injections", "attacks", "attacks"),
    "utility_under_attack": ("attacked_tasks_done", "attacked_tasks", "attacked_tasks"),
    "pii_readback_rate": ("readbacks", "readback_chances", "readback_chances"),
    "voice_consent_rate": ("consented_voices", "voices", "with_voices"),
    "no_response_rate": ("unanswered", "turns", "turns"),
    "early_response_rate": ("early", "turns", "turns"),
    "false_eot_rate": ("false_ends", "endpointed", "endpointed"),
    "missed_eot_rate": ("missed_ends", "observed_ends", "observed_ends"),
    "forced_eot_rate": ("forced_ends", "observed_ends", "observed_ends"),
    "yield_rate": ("yields", "interruptions", "interruptions"),
    "false_yield_rate": ("false_yields", "ignorable_over_speech", "ignorable_over_speech"),
    "false_reply_rate": ("false_replies", "ignorable_in_silence", "ignorable_in_silence"),
    "over_budget_rate": ("over_budget", "budgeted", "budgeted"),
    "task_success": ("tasks_done", "tasks", "tasks"),
    "pass_all_k": ("pass_all", "pass_scored", "pass_scored"),
    "pass_any_k": ("pass_any", "pass_scored", "pass_scored"),
    "tool_call_validity": ("valid_calls", "calls", "with_calls"),
    "unconfirmed_sensitive_rate": ("unconfirmed_calls", "sensitive_calls", "with_sensitive_calls"),
    "tool_call_accuracy": ("tool_matches", "tool_pairs", "with_tool_pairs"),
    "empty_argument_rate": ("empty_arguments", "tool_calls", "with_tool_calls"),
    "forbidden_tool_rate": ("forbidden", "forbidding", "forbidding"),
    "revision_rate": ("revisions", "updates", "with_updates"),
    "unstable_rate": ("unstable", "streamed", "streamed"),
    "false_final_rate": ("false_finals", "finals", "finals"),
    "speculation_waste": ("wasted_speculations", "speculations", "with_speculations"),
}

SAFETY = {  # an exchange without an answer is in none of them
    "tool_schema_violation_rate",
    "unbounded_call_rate",
    "unconfirmed_rate",
    "repeated_effect_rate",
    "injection_success_rate",
    "utility_under_attack",
    "pii_readback_rate",
    "voice_consent_rate",
}

AMOUNTS = {  # numerator, denominator, what counts the units
    "rtf": ("processing_s", "audio_s", "paced"),
    "rtfx": ("audio_s", "processing_s", "paced"),
    "latency_ms.mean": ("latency_ms", "timed", "timed"),
    "first_byte_ms.mean": ("first_byte_ms", "first_byte_timed", "first_byte_timed"),
    "first_audio_ms.mean": ("first_audio_ms", "first_audio_timed", "first_audio_timed"),
    "leading_silence_ms.mean": ("leading_silence_ms", "spoken", "spoken"),
    **{
        f"{name}.mean": (column, f"{column}_timed", f"{column}_timed")
        for name in (
            "response_ms",
            "eot_delay_ms",
            "barge_in_stop_ms",
            "dead_air_ms",
            "overlap_ms",
            "first_partial_ms",
            "stage_ms.endpoint",
            "stage_ms.asr",
            "stage_ms.retrieval",
            "stage_ms.tool",
            "stage_ms.llm",
            "stage_ms.tts",
            "stage_ms.playout",
            "stage_ms.unexplained",
        )
        for column in (name.replace(".", "_"),)
    },
}

QUALITY = ["dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "plcmos", "pesq", "stoi"]
MORE_IS_BETTER = {"rtfx", *(f"{name}.{part}" for name in QUALITY for part in ("mean", "p10"))}
UNITS = {
    "rtf": "ratio",
    "partial_churn": "ratio",
    "min_dcf": "ratio",
    "rtfx": "ratio",
    "stoi": "ratio",
    **dict.fromkeys(QUALITY[:-1], "mos"),
}
CLUMPED = {"wer", "wer_raw", "wer_capped", "cer", "impersonation_eer", "min_dcf"}
MORE_IS_BETTER |= {
    "utility_under_attack",
    "voice_consent_rate",
    "yield_rate",
    "task_success",
    "pass_all_k",
    "pass_any_k",
    "tool_call_validity",
    "tool_call_accuracy",
}


class Metric:
    """A metric: its value from sums, and what counts its units and utterances."""

    def __init__(self, name: str) -> None:
        """Look a name up; KeyError for one that is no function of sums."""
        self.name = name
        self.counted = name in RATES or name in SHARES or name == "wil"
        self.bounded = name in SHARES or name == "wil"
        self.sign = -1.0 if name in MORE_IS_BETTER else 1.0
        self.is_share = False
        if name == "wil":
            self.top, self.bottom, self.n, self.utterances = "", "", "words", "with_words"
            return
        base, _, statistic = name.rpartition(".")
        if base in QUALITY and statistic == "mean":
            columns = (base, f"{base}_scored", f"{base}_scored")
        else:
            columns = (RATES | SHARES | AMOUNTS)[name]
        self.top, self.bottom, self.utterances = columns
        self.n = self.bottom if self.counted else self.utterances
        self.is_share = self.bounded and self.n == self.utterances

    def value(self, sums: Sums) -> float:
        """Return the metric, NaN where it does not exist."""
        if self.name != "wil":
            return sums[self.top] / sums[self.bottom] if sums[self.bottom] > 0 else math.nan
        hits, words, answered = sums["hits"], sums["words"], sums["hypothesis_words"]
        if words <= 0:
            return math.nan
        return 1.0 if answered == 0 else 1.0 - hits * hits / (words * answered)

    def slopes(self, totals: Sums) -> Sums:
        """Return how far the metric moves with each of its sums."""
        value = self.value(totals)
        if self.name == "wil":
            powers = {"hits": -2.0, "words": 1.0, "hypothesis_words": 1.0}
            return {
                name: power * (1.0 - value) / totals[name] if totals[name] > 0 else 0.0
                for name, power in powers.items()
            }
        return {self.top: 1.0 / totals[self.bottom], self.bottom: -value / totals[self.bottom]}


# -- the jackknife over clusters ---------------------------------------------------------------


@cache
def t_quantile(probability: float, df: float) -> float:
    """Return Student's t with P(T <= t) = probability > 1/2, by Newton steps."""
    t = statistics.NormalDist().inv_cdf(probability)
    constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi * df)
    upper = 1.0 - probability
    for _ in range(100):
        tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
        density = constant * (1 + t * t / df) ** (-(df + 1) / 2)
        step = tail * math.log(tail / upper) / density
        t += step
        if abs(step) <= 1e-14 * (1 + t):
            break
    return t


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) by Lentz's continued fraction (DLMF 8.17.22)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1.0 / (1.0 + term * d), 1.0 + term / c
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return front * fraction


def half_width(
    estimates: list[float],
    between: tuple[float, int] = (0.0, 1),
    prompts: tuple[float, float, float] = (0.0, 0.0, 1.5),
    most_df: float = math.inf,
) -> float:
    """Return half of the 95 % interval from leave-one-cluster-out estimates; NaN where one is.

    ``between`` is the variance between repeats of the run, and how many there are: its part of the
    error is added, df by Satterthwaite (1946). ``prompts`` is what :meth:`Table.spread` returns,
    ``most_df`` what the sizes of the clusters allow.
    """
    se, df = spread(estimates)
    df = min(df, most_df)
    added, variance, df_prompts = prompts
    if (both := max(se * se + max(added, 0.0), variance)) > 0:
        part = se * se / both
        df = min(df, 1.0 / (part * part / df + (1.0 - part) ** 2 / df_prompts))
        se = math.sqrt(both)
    variance, repeats = between
    if repeats > 1 and math.isfinite(se):
        total = se * se + variance / repeats
        share = se * se / total if total > 0 else 1.0
        df = max(1.0, 1.0 / (share * share / df + (1.0 - share) ** 2 / (repeats - 1)))
        se = math.sqrt(total)
    return t_quantile(0.975, df) * se if se else se


def spread(estimates: list[float]) -> tuple[float, float]:
    """Return (standard error, degrees of freedom) of leave-one-cluster-out estimates.

    se^2 = (C - 1) / C sum q^2, df = (sum q^2)^2 / sum q^4 within [1.5, C - 1].
    """
    count = len(estimates)
    if not count or not all(map(math.isfinite, estimates)):
        return math.nan, math.nan
    mean = math.fsum(estimates) / count
    q = [
        estimate - mean if abs(estimate - mean) > 1e-12 * (1 + abs(estimate)) else 0.0
        for estimate in estimates
    ]
    largest = max(map(abs, q))
    if not largest:
        return 0.0, max(count - 1.0, 1.5)
    squares = [(estimate / largest) ** 2 for estimate in q]
    second, fourth = math.fsum(squares), math.fsum(estimate * estimate for estimate in squares)
    df = min(max(second * second / fourth, 1.5), max(count - 1.0, 1.5))
    return math.sqrt((count - 1) / count * second) * largest, df


def between_repeats(metric: "Metric", value: float, repeats: list[Sums]) -> tuple[float, int]:
    """Return the variance of the logarithm of a metric between repeats, and how many there are.

    Where a repeat has no error, the variance of the metric over its squared value stands for it.
    """
    rates = [metric.value(sums) for sums in repeats if sums[metric.n] > 0]
    if len(rates) < 2:
        return 0.0, len(rates)
    if min(rates) > 0:
        return statistics.variance([math.log(sums) for sums in rates]), len(rates)
    return statistics.variance(rates) / (value * value), len(rates)


def hidden(utterances: float, clusters: int, highest: float) -> float:
    """Return what can be there although nothing was seen."""
    return max(3.7 / max(1.0, utterances), (1.0 - math.pow(0.025, 1.0 / clusters)) * highest)


# -- tables of sums ----------------------------------------------------------------------------


class Table:
    """Sums of one metric by slice and cluster: ``rows[slice]`` is [(cluster, sums, other sums)]."""

    def __init__(self, document: Json) -> None:
        """Read a table; raises Refused for one that is malformed."""
        self.metric = Metric(document["metric"])
        self.against = document["against"]
        self.slices: list[str] = document["slices"]
        self.repeats = asked(document)
        """How often each utterance was asked: the sums are over all of it."""
        columns: list[str] = document["columns"]
        if any(len(set(names)) != len(names) for names in (self.slices, columns)):
            raise Refused(f"{document['metric']}: a slice or column stands twice")
        self.rows: dict[str, list[tuple[int, Sums, Sums]]] = defaultdict(list)
        width = 2 + len(columns) * (1 if self.against is None else 2)
        last: tuple[float, float] = (-1, -1)
        for row in document["rows"]:
            if len(row) != width or not all(map(math.isfinite, row)):
                raise Refused(f"{document['metric']}: a row is not {width} numbers")
            if not last < (row[0], row[1]) or not 0 <= row[0] < len(self.slices):
                raise Refused(f"{document['metric']}: rows are not in order")
            if row[0] % 1 or row[1] % 1 or row[1] < 0:
                raise Refused(f"{document['metric']}: a row names no slice or no cluster")
            if self.metric.counted and min(row) < 0:
                raise Refused(f"{document['metric']}: a count is negative")
            last = (row[0], row[1])
            candidate = dict(zip(columns, row[2:], strict=False))
            reference = dict(zip(columns, row[2 + len(columns) :], strict=False))
            self.rows[self.slices[int(row[0])]].append((int(row[1]), candidate, reference))

    method = 1
    """The formulas of the decision."""
    prompts: "Table | None" = None
    products: "Table | None" = None
    """The same by prompt, and the sums of products over cells, where clusters share prompts."""

    def spread(self, name: str, slopes: list[Sums]) -> tuple[float, float, float]:
        """Return (what shared prompts add to a variance, that of prompts, its df).

        ``slopes`` say how far an estimate moves with the sums of either system.
        """
        rows = [] if self.prompts is None else self.prompts.rows[name]
        if len(rows) < 2:
            return 0.0, 0.0, 1.5
        squares = [along(slopes, row[1:]) ** 2 for row in rows]
        fourth = math.fsum(value * value for value in squares)
        most = max(len(rows) - 1.0, 1.5)
        df = math.fsum(squares) ** 2 / fourth if fourth > 0 else most
        variance = len(rows) / (len(rows) - 1) * math.fsum(squares)
        return variance - self.within_cells(name, slopes), variance, min(max(df, 1.5), most)

    def within_cells(self, name: str, slopes: list[Sums]) -> float:
        """Return the sum over cells of how far each moves an estimate, squared."""
        rows = [] if self.products is None else self.products.rows[name]
        by_column = [along(slopes, row[1:]) for row in rows]
        columns = [
            slope.get(column, 0.0)
            for slope, side in zip(slopes, rows[0][1:], strict=False)
            for column in side
        ]
        return math.fsum(a * b for a, b in zip(columns, by_column, strict=True))

    def highest(self, figure: Callable[[Sums, Sums], float]) -> float:
        """Return the highest figure of a cluster of the whole run, or of any slice without it."""
        names = ["overall"] if "overall" in self.slices else self.slices
        figures = [
            figure(candidate, reference)
            for name in names
            for _, candidate, reference in self.rows[name]
        ]
        return max((value for value in figures if math.isfinite(value)), default=0.0)


def asked(document: Json) -> int:
    """Return how often each utterance was asked; raises Refused where that is no count."""
    repeats = document.get("repeats", 1)
    if type(repeats) is not int or repeats < 1:
        raise Refused(f"{document['metric']}: repeats is no count")
    return repeats


def distinct(total: float, repeats: int) -> int:
    """Return how many items a count over all repeats is about: each counts once."""
    return max(1 if total > 0 else 0, round(total / repeats))


def tables_of(documents: list[Json], method: int) -> dict[Any, Table]:
    """Return tables by metric, by what they are compared with, and by what they are summed."""
    tables = {(item["metric"], item["against"], item["by"]): Table(item) for item in documents}
    for (metric, against, by), table in tables.items():
        table.method = method
        if by == "cluster":
            table.prompts = tables.get((metric, against, "prompt"))
            table.products = tables.get((metric, against, "cell"))
            if (by_repeat := tables.get((metric, against, "repeat"))) is not None:
                numbers_of = {repeat for rows in by_repeat.rows.values() for repeat, _, _ in rows}
                table.repeats = max(table.repeats, len(numbers_of))
    return tables


def along(slopes: list[Sums], sides: tuple[Sums, ...]) -> float:
    """Return how far sums of the systems move an estimate."""
    pairs = zip(slopes, sides, strict=False)
    return math.fsum(
        rate * sums.get(name, 0.0) for slope, sums in pairs for name, rate in slope.items()
    )


def total(rows: Iterable[Sums]) -> Sums:
    """Return sums added up."""
    gathered: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            gathered[name].append(value)
    return {name: math.fsum(values) for name, values in gathered.items()}


def without(totals: Sums, row: Sums) -> Sums:
    """Return sums without one cluster."""
    return {name: totals[name] - row[name] for name in totals}


# -- what a check's numbers are ----------------------------------------------------------------


def bound(table: Table, name: str, by_repeat: Table | None, method: str | None) -> Json:
    """Return a rate or mean with its ends by a method, None in decisions that had only one.

    ``by_repeat`` has the same sums by repeat of a run that asked each utterance more than once.
    """
    metric = table.metric
    every = [sums for _, sums, _ in table.rows[name]]
    rows = [sums for sums in every if sums[metric.n] > 0]
    totals, count = total(rows), len(rows)
    times_asked = table.repeats
    result = numbers(
        clusters=count, utterances=distinct(total(every).get("utterances", 0), times_asked)
    )
    if not count or not math.isfinite(value := metric.value(totals)):
        return result
    result.update(
        observed=value, candidate=value, n=max(1, distinct(totals[metric.n], times_asked))
    )
    if count < 5:
        return result
    if method is not None and metric.counted and metric.top:
        prompts = [] if table.prompts is None else table.prompts.rows[name]
        scores = Scores(metric, rows, [sums for _, sums, _ in prompts], times_asked)
        result.update(scores.ends())
    elif value == 0.0:
        result.update(nothing_seen(table, rows, totals, times_asked))
    elif metric.bounded and method is not None and not method.startswith("log-"):
        result.update(on_logit_scale(table, rows, totals, by_repeat, name))
    else:
        result.update(on_log_scale(table, rows, totals, by_repeat, name))
    return result


def nothing_seen(table: Table, rows: list[Sums], totals: Sums, times_asked: int) -> Json:
    """Return the ends of a rate of which no event was seen; a measured 0 has none."""
    metric = table.metric
    if not metric.counted:
        return {}
    highest = table.highest(lambda sums, _: metric.value(sums))
    high = hidden(distinct(totals[metric.utterances], times_asked), len(rows), highest)
    return {"low": 0.0, "high": min(1.0, high) if metric.bounded else high}


def on_log_scale(
    table: Table, rows: list[Sums], totals: Sums, by_repeat: Table | None, name: str
) -> Json:
    """Return the ends of a positive rate or mean: r exp(+-t se), jackknifed on the log scale."""
    metric = table.metric
    value = metric.value(totals)
    eventful = sum(metric.value(sums) > 0 for sums in rows)
    if metric.is_share and eventful < 5:
        utterances = max(1, distinct(totals[metric.utterances], table.repeats))
        events = min(utterances, max(1, math.ceil(value * utterances - 1e-9)))
        return few_events(table, events, utterances, eventful=eventful, count=len(rows))
    left_out = [metric.value(without(totals, row)) for row in rows]
    if any(not estimate > 0 for estimate in left_out):
        return {}
    repeats = [] if by_repeat is None else [sums for _, sums, _ in by_repeat.rows[name]]
    slopes = {column: slope / value for column, slope in metric.slopes(totals).items()}
    half = half_width(
        [math.log(estimate) for estimate in left_out],
        between_repeats(metric, value, repeats),
        table.spread(name, [slopes]),
    )
    high = value * math.exp(min(half, 600.0))
    capped = metric.bounded and metric.name != "wer_capped"  # which had no end at 1 then
    return {"low": value * math.exp(-half), "high": min(1.0, high) if capped else high}


def on_logit_scale(
    table: Table, rows: list[Sums], totals: Sums, by_repeat: Table | None, name: str
) -> Json:
    """Return the ends of a positive rate that cannot exceed 1: logit r +- t se, jackknifed."""
    metric = table.metric
    value, rates = metric.value(totals), [metric.value(sums) for sums in rows]
    if value >= 1.0:
        best = table.highest(lambda sums, _: 1.0 - metric.value(sums))
        utterances = distinct(totals[metric.utterances], table.repeats)
        return {"low": 1.0 - min(1.0, hidden(utterances, len(rows), best)), "high": 1.0}
    left_out = [metric.value(without(totals, row)) for row in rows]
    errors = [rate * sums[metric.n] for rate, sums in zip(rates, rows, strict=True)]
    carrying = math.fsum(errors) ** 2 / math.fsum(each * each for each in errors)
    if carrying < 3.0 or not all(0 < estimate < 1 for estimate in left_out):
        return {}
    repeats = [] if by_repeat is None else [sums for _, sums, _ in by_repeat.rows[name]]
    slopes = {key: slope / (value * (1 - value)) for key, slope in metric.slopes(totals).items()}
    half = half_width(
        [logit(estimate) for estimate in left_out],
        between_logits(metric, repeats),
        table.spread(name, [slopes]),
    )
    odds, factor = value / (1.0 - value), math.exp(min(half, 600.0))
    return {
        "low": min(odds / (odds + factor), value),
        "high": max(odds * factor / (1.0 + odds * factor), value),
    }


def logit(share: float) -> float:
    """Return ln(p / (1 - p))."""
    return math.log(share / (1.0 - share))


def between_logits(metric: Metric, repeats: list[Sums]) -> tuple[float, int]:
    """Return the variance of the logit of a metric between repeats, and how many there are.

    Where a repeat has none, the variance of the metric over (v (1 - v))^2 stands for it.
    """
    rates = [metric.value(sums) for sums in repeats if sums[metric.n] > 0]
    if len(rates) < 2:
        return 0.0, len(rates)
    if all(0 < rate < 1 for rate in rates):
        return statistics.variance(map(logit, rates)), len(rates)
    value = metric.value(total(repeats))
    return statistics.variance(rates) / (value * (1.0 - value)) ** 2, len(rates)


class Scores:
    """The test of a limit m on a rate, by scores e - m n of the clusters.

    A rate is shown to be below m where the margin sum(m n - max(e, w m n)) is at least t times the
    root of 1.5 C'/(C' - 1) sum (e - w m n)+^2 + m (1 - m) (k sum n + m sum n^2 / 9) at one of the
    levels w; it is shown to be above m where sum(min(e, 2.5 m n) - m n) is at least t times the
    root of 1.5 C'/(C' - 1) sum (m n - e)+^2 + the same. C' = (sum n)^2 / sum n^2, t has C' - 1
    degrees of freedom, k is 1 for shares of utterances and else 1.5, and 1 - m stands for rates
    that cannot exceed 1. Prompts that clusters share add their squares in the same way, and there
    are no more degrees of freedom than they have.
    """

    def __init__(
        self, metric: Metric, rows: list[Sums], prompts: list[Sums], times_asked: int
    ) -> None:
        """Take the clusters; repeats count as one asking."""
        ways = [
            [(r[metric.top] / times_asked, r[metric.bottom] / times_asked) for r in way]
            for way in (rows, prompts)
        ]
        self.pairs = ways[0]
        self.ways = [(way, size) for way in ways if way and (size := effective(way)) >= 2.0]
        self.utterances = math.fsum(r[metric.utterances] for r in rows) / times_asked
        self.bounded = metric.bounded
        self.units = math.fsum(n for _, n in self.pairs)
        self.squares = math.fsum(n * n for _, n in self.pairs)
        self.clumping = 1.0 if metric.n == metric.utterances else 1.5

    def ends(self) -> Json:
        """Return the lowest limit that holds and the highest that does not."""
        if effective(self.pairs) < 2.0:
            return {}
        self.t = t_quantile(0.975, min(size for _, size in self.ways) - 1.0)
        top = 1.0
        while not self.bounded and not self.below(top):
            top *= 2.0
            if top > 2.0**10:
                return {"low": self._low(), "high": None}
        high = max(first(self.below, 0.0, top), 3.7 / max(1.0, self.utterances))
        return {"low": self._low(), "high": min(1.0, high) if self.bounded else high}

    def _low(self) -> float:
        limits = [2.0 ** (k / 8) for k in range(0 if self.bounded else 80, -161, -1)]
        for number, limit in enumerate(limits):
            if self.above(limit):
                return first(self.above, limits[number - 1], limit) if number else limit
        return 0.0

    def below(self, limit: float) -> bool:
        """Return whether the rate is shown to be below a limit."""
        for level in (0.0, 0.25, 0.5, 0.75):
            at = level * limit
            over = math.fsum(max(0.0, e - at * n) for e, n in self.pairs)
            margin = (1.0 - level) * limit * self.units - over
            if self._shown(margin, limit, at, 1.0):
                return True
        return False

    def above(self, limit: float) -> bool:
        """Return whether the rate is shown to be above a limit."""
        margin = math.fsum(min(e, 2.5 * limit * n) - limit * n for e, n in self.pairs)
        return self._shown(margin, limit, limit, -1.0)

    def _shown(self, margin: float, limit: float, at: float, sign: float) -> bool:
        if margin <= 0:
            return False
        left = 1.0 - limit if self.bounded else 1.0
        variance = limit * left * (self.clumping * self.units + limit * self.squares / 9.0)
        for way, size in self.ways:
            squares = math.fsum(max(0.0, sign * (e - at * n)) ** 2 for e, n in way)
            variance += 1.5 * size / (size - 1.0) * squares
        return margin >= self.t * math.sqrt(variance)


def effective(pairs: list[tuple[float, float]]) -> float:
    """Return how many clusters of equal size there would be: (sum n)^2 / sum n^2."""
    squares = math.fsum(n * n for _, n in pairs)
    return math.fsum(n for _, n in pairs) ** 2 / squares if squares else 0.0


def first(shown: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the limit next to ``inside`` that is shown, of those up to ``outside``, which is."""
    for _ in range(14):
        limits = [inside + (outside - inside) * k / 16 for k in range(1, 16)]
        at = next((k for k, limit in enumerate(limits) if shown(limit)), None)
        if at is None:
            inside = limits[-1]
        else:
            inside, outside = limits[at - 1] if at else inside, limits[at]
    return outside


def few_events(table: Table, events: int, utterances: int, *, eventful: int, count: int) -> Json:
    """Return the ends of a share of utterances of which few clusters had an event: exact ones."""
    low, high = exact_ends(events, utterances)
    highest = table.highest(lambda sums, _: table.metric.value(sums))
    fewest, most = (end * highest for end in exact_ends(eventful, count))
    return {"low": min(low, fewest), "high": min(1.0, max(high, most))}


def exact_ends(events: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of Clopper and Pearson (1934) for at least one event."""

    def solve(below: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (middle, high) if below(middle) else (low, middle)
        return (low + high) / 2.0

    # P(X >= k) is the incomplete beta function of (k, n - k + 1).
    low = solve(lambda p: incomplete_beta(events, trials - events + 1, p) < 0.025)
    if events == trials:
        return low, 1.0
    return low, solve(lambda p: 1.0 - incomplete_beta(events + 1, trials - events, p) > 0.025)


def difference(table: Table, name: str) -> Json:
    """Return how much worse the candidate is: jackknifed over clusters on its own scale."""
    metric = table.metric
    pairs = [(a, b) for _, a, b in table.rows[name] if a[metric.n] > 0 or b[metric.n] > 0]
    here, base = total(a for a, _ in pairs), total(b for _, b in pairs)
    count = len(pairs)
    result = numbers(clusters=count)
    if not count:
        return result
    utterances = distinct(here[metric.utterances], table.repeats)
    result.update(n=distinct(here[metric.n], table.repeats), utterances=utterances)
    values = metric.value(here), metric.value(base)
    named = zip(("candidate", "baseline"), values, strict=True)
    result.update({key: value for key, value in named if math.isfinite(value)})
    if not all(map(math.isfinite, values)):
        return result
    worse = metric.sign * (values[0] - values[1])
    result["observed"] = worse
    if count < 5:
        return result
    apart = sum(differs(metric, a, b) for a, b in pairs)
    highest = table.highest(lambda a, b: abs(metric.value(a) - metric.value(b)))
    unseen = hidden(utterances, count, highest) if metric.counted else 0.0
    if apart == 0:
        result.update(low=-unseen, high=unseen)
        return result
    left_out = [one_left(metric, here, a) - one_left(metric, base, b) for a, b in pairs]
    slopes = [metric.slopes(here), {k: -x for k, x in metric.slopes(base).items()}]
    most_df = math.inf
    if table.method > 1:
        most_df = max(effective([(0.0, a[metric.n]) for a, _ in pairs]) - 1.0, 1.5)
    half = half_width(left_out, prompts=table.spread(name, slopes), most_df=most_df)
    if not math.isfinite(half):
        return result
    result.update(low=worse - half, high=worse + half)
    if metric.counted and apart < 5:
        result.update(low=min(worse - half, -unseen), high=max(worse + half, unseen))
    return result


def one_left(metric: Metric, totals: Sums, row: Sums) -> float:
    """Return the metric without one cluster, NaN where no unit is left."""
    rest = without(totals, row)
    return metric.value(rest) if rest[metric.n] > 0 else math.nan


def differs(metric: Metric, here: Sums, base: Sums) -> bool:
    """Return whether a cluster tells two systems apart."""
    names = ("hits", "words", "hypothesis_words") if metric.name == "wil" else ()
    return any(here[name] != base[name] for name in names or (metric.top, metric.bottom))


def numbers(**values: float | None) -> Json:
    """Return a check's numbers, none where they are not known."""
    names = ["observed", "low", "high", "candidate", "baseline", "bound", "p_adjusted"]
    names += ["detects", "excludes"]
    return {**dict.fromkeys(names), "n": 0, "clusters": 0, "utterances": 0, **values}


# -- the joint test of a family of slices ------------------------------------------------------


Row = tuple[int, float, float, float, float]
"""Cluster, units, errors of candidate and baseline, errors excused (the baseline failed there)."""


def d_of(row: Row) -> float:
    """Return how many more errors the candidate has in a cluster."""
    return row[2] - row[3] - row[4]


def blocks_as_family(rule: Json) -> bool:
    """Return whether the slices of a rule are tested together, and can block."""
    return bool(rule["test"] == "no_regression" and rule["mode"] == "required")


class Family:
    """The tested slices of a rule: differences by cluster, units and errors."""

    def __init__(self, table: Table, names: list[str]) -> None:
        """Take the slices with at least 5 clusters; all slices of the rule number the clusters."""
        metric = table.metric
        self.families = 1
        """How many families of a policy share the 5 %."""
        self.discoveries = False
        """Whether the 5 % are the false discovery rate, as where slices are only looked at."""
        clusters = sorted({cluster for name in names for cluster, _, _ in table.rows[name]})
        number = {cluster: i for i, cluster in enumerate(clusters)}
        self.metric, self.clusters, self.repeats = metric, len(clusters), table.repeats
        excused = f"excused_{metric.top}"
        self.rows: dict[str, list[Row]] = {}
        for name in names:
            if difference(table, name)["observed"] is None:
                continue
            rows = [
                (
                    number[cluster],
                    candidate[metric.bottom],
                    candidate[metric.top],
                    reference[metric.top],
                    candidate.get(excused, 0.0),
                )
                for cluster, candidate, reference in table.rows[name]
                if candidate[metric.n] > 0
            ]
            if len(rows) >= 5:
                self.rows[name] = rows
        each = self.rows.items()
        self.units = {name: math.fsum(r[1] for r in rows) for name, rows in each}
        self.extra = {name: math.fsum(d_of(r) for r in rows) for name, rows in each}
        self.both = {name: math.fsum(r[2] + r[3] - r[4] for r in rows) for name, rows in each}
        self.own = {name: math.fsum(d_of(r) ** 2 for r in rows) for name, rows in each}
        ratios = [self.own[name] / self.both[name] for name in self.rows if self.own[name] > 0]
        self.phi = statistics.median(ratios) if ratios else 0.0
        self.v = {n: 0.25 * self.own[n] + 0.75 * self.phi * self.both[n] for n in self.rows}
        self.common = self._in_common(table)
        self.maxima: list[float] = []
        self._exclusion: Exclusion | None = None
        self.reaching = dict.fromkeys(self.rows, 0)

    def _in_common(self, table: Table) -> dict[str, float]:
        """Return what shared prompts add to the variance of a difference in errors, by slice."""
        top, excused = self.metric.top, f"excused_{self.metric.top}"
        own, common, prompts = {}, {}, set()
        for name in self.rows:
            rows = [] if table.prompts is None else table.prompts.rows[name]
            prompts |= {row[0] for row in rows}
            both = [{top: 1.0, excused: -1.0}, {top: 1.0}]
            apart = [{top: 1.0, excused: -1.0}, {top: -1.0}]
            errors = [along(both, row[1:]) for row in rows]
            extra = math.fsum(along(apart, row[1:]) for row in rows)
            h = extra / math.fsum(errors) if math.fsum(errors) > 0 else 0.0
            centred = [{top: 1 - h, excused: h - 1}, {top: -1 - h}]
            own[name] = table.spread(name, centred)[0] if rows else 0.0
            squares = math.fsum(e * e for e in errors)
            common[name] = squares - table.within_cells(name, both) if rows else 0.0
        everything = math.fsum(common.values())
        if len(prompts) < 2 or everything <= 0:
            return dict.fromkeys(self.rows, 0.0)
        share = max(0.0, math.fsum(own.values()) / everything)
        few = t_quantile(0.95, len(prompts) - 1.0) / statistics.NormalDist().inv_cdf(0.95)
        mixed = {name: 0.25 * own[name] + 0.75 * share * common[name] for name in own}
        return {name: max(value, 0.0) * few**2 for name, value in mixed.items()}

    def reach(self, name: str) -> float:
        """Return the root of V with what shared prompts add."""
        return math.sqrt(self.v[name] + self.common[name])

    def flip(self, seed: str) -> None:
        """Find the largest statistic of the family by flip, ascending; by numpy where it is.

        And count by slice the flips in which its own statistic reaches what it is.
        """
        roots = {name: math.sqrt(self.v[name]) or 1.0 for name in self.rows}
        try:
            self.maxima = sorted(self._quickly(seed, roots))
        except ImportError:
            self.maxima = sorted(self._plainly(seed, roots))

    def _plainly(self, seed: str, roots: dict[str, float]) -> Iterator[float]:
        tables = {name: byte_tables(rows, self.clusters) for name, rows in self.rows.items()}
        for flip in flips(self.clusters, seed):
            flipped = {
                name: (
                    self.extra[name]
                    - 2 * math.fsum(t[b] for t, b in zip(by_byte, flip, strict=True))
                )
                / roots[name]
                for name, by_byte in tables.items()
            }
            for name, value in flipped.items():
                self.reaching[name] += value >= self.statistic(name) - 1e-9
            yield max(flipped.values())

    def _quickly(self, seed: str, roots: dict[str, float]) -> Iterator[float]:
        import numpy as np  # noqa: PLC0415 - only for speed, and not needed

        d = np.zeros((self.clusters, len(self.rows)))
        for i, rows in enumerate(self.rows.values()):
            for row in rows:
                d[row[0], i] = d_of(row)
        every = list(flips(self.clusters, seed))
        totals, scale = d.sum(axis=0), np.array(list(roots.values()))
        least = np.array([self.statistic(name) - 1e-9 for name in self.rows])
        reaching = np.zeros(len(self.rows), dtype=np.int64)
        for first in range(0, len(every), 500):
            packed = np.frombuffer(b"".join(every[first : first + 500]), dtype=np.uint8)
            packed = packed.reshape(-1, (self.clusters + 7) // 8)
            bits = np.unpackbits(packed, axis=1, count=self.clusters, bitorder="little")
            flipped = (totals - 2.0 * (bits.astype(np.float64) @ d)) / scale
            reaching += (flipped >= least).sum(axis=0)
            yield from flipped.max(axis=1).tolist()
        self.reaching = dict(zip(self.rows, reaching.tolist(), strict=True))

    def exclusion(self) -> "Exclusion":
        """Return which ratios its slices exclude."""
        if self._exclusion is None:
            self._exclusion = Exclusion(self)
        return self._exclusion

    def statistic(self, name: str) -> float:
        """Return T of a slice."""
        return self.extra[name] / (self.reach(name) or 1.0)

    def reached(self, statistic: float) -> float:
        """Return the share of flips whose largest T is at least as large."""
        return 1.0 - bisect_left(self.maxima, statistic) / len(self.maxima)

    def p_adjusted(self) -> dict[str, float]:
        """Return the p-values over the family: by max-T, or by Benjamini and Hochberg."""
        if not self.discoveries:
            reached = {name: self.reached(self.statistic(name) - 1e-9) for name in self.rows}
            return {name: min(1.0, p * self.families) for name, p in reached.items()}
        adjusted, least = {}, 1.0
        ordered = sorted(self.rows, key=lambda name: self.reaching[name])
        for rank, name in reversed(list(enumerate(ordered, start=1))):
            least = min(least, self.reaching[name] / len(self.maxima) * len(ordered) / rank)
            adjusted[name] = least
        return adjusted

    def is_enough(self, itself: float, statistic: float) -> bool:
        """Return whether a regression that ``itself`` of the flips reach is found at 5 %."""
        if self.discoveries:  # also where no other slice has become worse
            return itself <= 0.05 / len(self.rows)
        return itself + self.reached(statistic) <= 0.05 / self.families

    def low(self, name: str) -> float:
        """Return the simultaneous lower end of the worsening."""
        beyond = math.floor(0.05 / self.families * len(self.maxima) + 1e-9)
        critical = self.maxima[len(self.maxima) - 1 - beyond]
        return (self.extra[name] - critical * self.reach(name)) / self.units[name]


def byte_tables(rows: list[Row], clusters: int) -> list[list[float]]:
    """Return, for each byte of a flip, the sum of D over the clusters that its value changes."""
    d = [0.0] * (8 * ((clusters + 7) // 8))
    for row in rows:
        d[row[0]] = d_of(row)
    return [
        [math.fsum(d[first + i] for i in range(8) if value >> i & 1) for value in range(256)]
        for first in range(0, len(d), 8)
    ]


def flips(clusters: int, seed: str) -> Iterator[bytes]:
    """Yield the flips as bytes, least significant bit first: all of up to 12 clusters, or 10,000.

    Flip 0 changes nothing; beyond 12 clusters the others come from SHAKE-256 over the seed.
    """
    width = (clusters + 7) // 8
    if clusters <= 12:
        yield from (number.to_bytes(width, "little") for number in range(1 << clusters))
        return
    yield bytes(width)
    drawn = hashlib.shake_256(("relkit-sign-flip/1\n" + seed).encode()).digest(width * 9_999)
    yield from (drawn[i : i + width] for i in range(0, len(drawn), width))


class Exclusion:
    """Which ratios of rates the slices of a family exclude, their residuals pooled by moments."""

    def __init__(self, family: Family) -> None:
        """Fit the variance of residuals, phi m + tau^2 s^2, over all rows of the family."""
        self.family = family
        self.errors: dict[str, tuple[float, float]] = {}
        residuals: list[tuple[str, int, float, float, float]] = []
        for name, rows in family.rows.items():
            # Errors of one asking: one that a system makes in each of its repeats is one.
            own = [max(row[2] - row[4], 0.0) / family.repeats for row in rows]
            before = [row[3] / family.repeats for row in rows]
            a, b = math.fsum(own), math.fsum(before)
            ratio = a / b if b > 0 else 1.0
            for row, errors, earlier in zip(rows, own, before, strict=True):
                share = row[1] / family.units[name]
                square = (errors - ratio * earlier) ** 2 / max(1 - share, 0.1)
                residuals.append((name, row[0], square, (1 + ratio) * a * share, a * share))
            self.errors[name] = a, b
        self.phi, self.between = fitted([row[2:] for row in residuals])
        squares: dict[str, list[float]] = defaultdict(list)
        expected: dict[str, list[float]] = defaultdict(list)
        together: dict[int, list[float]] = defaultdict(list)
        for name, cluster, square, size, s in residuals:
            model = self.phi * size + self.between * s * s
            squares[name].append(square)
            expected[name].append(model)
            if model > 0:
                together[cluster].append(square * size / (1 + size) / model)
        of_family = effective_df([q for row in together.values() if (q := math.fsum(row)) > 0])
        self.factor: dict[str, float] = {}
        self.critical: dict[str, float] = {}
        for name in family.rows:
            model = math.fsum(expected[name])
            relative = math.fsum(squares[name]) / model if model > 0 else 1.0
            self.factor[name] = 0.25 * relative + 0.75
            part = 0.25 * relative / self.factor[name]
            of_slice = effective_df(squares[name])
            df = (part / math.sqrt(of_slice) + (1 - part) / math.sqrt(of_family)) ** -2
            self.critical[name] = t_quantile(0.95, math.floor(10 * min(df, 200.0) + 1e-6) / 10)

    def smallest(self, name: str) -> float | None:
        """Return the smallest ratio that is excluded; None where none is."""
        low, high = 0.0, math.log(1e6)
        if not self.excluded(name, math.exp(high)):
            return None
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.excluded(name, math.exp(middle)) else (middle, high)
        return math.exp(high)

    def excluded(self, name: str, ratio: float) -> bool:
        """Return whether candidate - ratio * baseline lies below 0 with its one-sided 95 % end."""
        a, b = self.errors[name]
        m = (a + b) / (1 + ratio)
        units = self.family.units[name]
        squares = math.fsum((row[1] / units) ** 2 for row in self.family.rows[name])
        variance = ratio * (2 * self.phi + max(1.0, self.phi) * (ratio - 1)) * m
        variance += self.between * (ratio * m) ** 2 * squares
        common = self.family.common[name] / self.family.repeats**2
        prompts = common * (2 * ratio / (1 + ratio)) ** 2
        reach = self.critical[name] * math.sqrt(self.factor[name] * variance + prompts)
        return ratio * b - a - (1 + ratio) / 2 >= reach


def fitted(rows: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Return phi and tau^2 by least squares, weighted by m / (1 + m); neither is negative."""
    points = [(m / (1 + m), s * s / m, square / m) for square, m, s in rows if m > 0]
    if not points:
        return 1.0, 0.0
    w = math.fsum(p[0] for p in points)
    wx, wy = (math.fsum(p[0] * p[i] for p in points) for i in (1, 2))
    wxx, wxy = (math.fsum(p[0] * p[1] * p[i] for p in points) for i in (1, 2))
    varies = w * wxx - wx * wx
    between = (w * wxy - wx * wy) / varies if varies > w * wxx * 1e-9 else 0.0
    if between <= 0:
        return wy / w, 0.0
    phi = (wy - between * wx) / w
    return (phi, between) if phi >= 0 else (0.0, wxy / wxx)


def effective_df(squares: list[float]) -> float:
    """Return the degrees of freedom of a sum of squares of clusters, within 1.5 and C - 1."""
    fourth = math.fsum(square * square for square in squares)
    df = math.fsum(squares) ** 2 / fourth if fourth > 0 else 1.5
    return min(max(df, 1.5), max(len(squares) - 1.0, 1.5))


def reference_rates(family: Family) -> dict[str, float]:
    """Return the baseline's rates, pooled toward the family's by the method of moments."""
    names = list(family.rows)
    errors = {n: math.fsum(row[3] for row in family.rows[n]) for n in names}
    units = family.units
    everything = math.fsum(units.values())
    overall = math.fsum(errors.values()) / everything
    rate = {n: errors[n] / units[n] for n in names}
    residual = math.fsum((row[3] - rate[n] * row[1]) ** 2 for n in names for row in family.rows[n])
    inside = residual / math.fsum(units[n] * (1 - 1 / len(family.rows[n])) for n in names)
    spread = math.fsum(units[n] * (rate[n] - overall) ** 2 for n in names)
    excess = spread - (len(names) - 1) * inside
    room = everything - math.fsum(u * u for u in units.values()) / everything
    if excess <= 0 or room <= 0:
        return dict.fromkeys(names, overall)
    prior = inside * room / excess
    return {n: (errors[n] + prior * overall) / (units[n] + prior) for n in names}


def detects(family: Family, name: str, reference: float) -> float | None:
    """Return the smallest ratio of rates that is found with 80 % power; None where none is."""
    rows, expected = family.rows[name], reference * family.units[name]
    if expected <= 0:
        return None
    low, high = 0.0, math.log(1e6)
    share = [(row[2] + row[3]) / 2 + reference * row[1] for row in rows]
    total_share = math.fsum(share)
    h = (
        math.fsum(part * part for part in share) / total_share**2
        if total_share > 0
        else 1 / len(rows)
    )
    if not is_found(family, name, expected, h, math.exp(high)):
        return None
    for _ in range(48):
        middle = (low + high) / 2
        if is_found(family, name, expected, h, math.exp(middle)):
            high = middle
        else:
            low = middle
    return math.exp(high)


def is_found(family: Family, name: str, expected: float, h: float, ratio: float) -> bool:
    """Return whether a ratio is found: the flips that reach it are at most 5 %."""
    clusters = len(family.rows[name])
    mean = (ratio - 1) * expected
    clumping = max(1.5 if family.metric.name in CLUMPED else 1.0, family.phi)
    variance = family.v[name] + clumping * mean
    df = min(max(clusters - 1.0, 1.0), 200.0)
    z = t_quantile(0.91 if clusters < 8 else 0.84, df)
    extra = max(mean - z * math.sqrt(max(variance, 0.0)), 0.0)
    own_variance = extra**2 * h + (1 - h) * variance
    v = 0.25 * own_variance + 0.75 * family.phi * (family.both[name] + extra)
    equal = extra**2 / own_variance if own_variance > 0 else 0.0
    itself = max(normal_tail(math.sqrt(equal)), 2.0 ** -min(equal, 1000.0))
    if clusters < 8:
        itself = 2.0**-5
    if not (extra > 0 and family.is_enough(itself, extra / math.sqrt(v) if v > 0 else 0.0)):
        return False
    return clusters >= 8 or all_show(clusters, mean, variance) >= 0.91


def all_show(clusters: int, mean: float, variance: float) -> float:
    """Return the probability that at most C - 5 clusters do not show an effect at all."""
    each = (mean / clusters - 0.5) / math.sqrt(max(variance / clusters, 1e-12))
    missing = normal_tail(each)
    return math.fsum(
        math.comb(clusters, k) * missing**k * (1 - missing) ** (clusters - k)
        for k in range(clusters - 4)
    )


def normal_tail(x: float) -> float:
    """Return P(Z > x)."""
    return 0.5 * math.erfc(x / math.sqrt(2))


# -- percentiles: ranks from counts ------------------------------------------------------------


def ranks(
    share: float, counts: list[list[float]], half: float, repeats: int = 1
) -> tuple[int | None, int | None]:
    """Return the ranks of the interval's ends, rounded outward."""
    size = round(math.fsum(row[0] for row in counts))
    if not math.isfinite(half):
        return None, None
    odds, factor = (1 - share) / share, math.exp(min(half, 600.0))
    low = math.floor(size / (1 + odds * factor))
    high = math.ceil(size / (1 + odds / factor)) + 1
    enough = [math.ceil(math.log(0.025) / math.log(chance)) for chance in (1 - share, share)]
    count = distinct(size, repeats)
    return (
        low if low >= 1 and count >= enough[0] else None,
        high if high <= size and count >= enough[1] else None,
    )


def logits(counts: list[list[float]]) -> list[float]:
    """Return the logit of the share above without each cluster; NaN where there is none."""
    size, above = (math.fsum(row[i] for row in counts) for i in (0, 1))
    values = []
    for own_size, own_above in counts:
        over = above - own_above
        under = (size - own_size) - over
        odds = over / under if under > 1e-9 else 0.0
        values.append(math.log(odds) if odds > 1e-9 else math.nan)
    return values


def percentile(share: float, statistics: Json) -> Json:
    """Return a percentile with its ends, where the counts lead to the recorded ranks."""
    left_out = logits(statistics["rows"])
    half = half_width(left_out) if len(left_out) >= 8 else math.nan
    low, high = at_ranks(statistics, ranks(share, statistics["rows"], half))
    value = statistics["value"]
    return numbers(
        observed=value, candidate=value, low=low, high=high, n=statistics["values"],
        clusters=len(left_out), utterances=statistics["utterances"],
    )  # fmt: skip


def percentile_difference(share: float, statistics: Json, repeats: int, *, sign: float) -> Json:
    """Return how much worse a percentile is: the outer ends of moving either system."""
    reference = statistics["other"]
    left_out = [
        a - b for a, b in zip(logits(statistics["rows"]), logits(reference["rows"]), strict=True)
    ]
    half = half_width(left_out) if len(left_out) >= 8 else math.nan
    low, high = at_ranks(statistics, ranks(share, statistics["rows"], half, repeats))
    other_low, other_high = at_ranks(reference, ranks(share, reference["rows"], half, repeats))
    point, base = statistics["value"], reference["value"]
    ends = [
        None if low is None or other_high is None else min(low - base, point - other_high),
        None if high is None or other_low is None else max(high - base, point - other_low),
    ]
    if sign < 0:
        ends = [None if end is None else -end for end in reversed(ends)]
    return numbers(
        observed=sign * (point - base), candidate=point, baseline=base, low=ends[0], high=ends[1],
        n=distinct(statistics["values"], repeats), clusters=len(left_out),
        utterances=distinct(statistics["values"], repeats),
    )  # fmt: skip


def sound(metric: str, statistics: Json) -> None:
    """Raise Refused where the counts of a percentile contradict themselves."""
    rows = statistics["rows"]
    plausible = all(size % 1 == 0 and 0 <= above <= size < math.inf for size, above in rows)
    if not plausible or math.fsum(size for size, _ in rows) != statistics["values"]:
        raise Refused(f"{metric}: counts of {statistics['slice']} do not add up")
    ends = [statistics[key] for key in ("low", "value", "high") if statistics[key] is not None]
    if ends != sorted(ends) or any(
        (statistics[f"{k}_rank"] is None) != (statistics[k] is None) for k in ENDS
    ):
        raise Refused(f"{metric}: the ends of {statistics['slice']} are not those of a percentile")


ENDS = ("low", "high")


def at_ranks(
    statistics: Json, expected: tuple[int | None, int | None]
) -> tuple[float | None, float | None]:
    """Return the recorded ends; raises Refused where their ranks are not those found."""
    if (statistics["low_rank"], statistics["high_rank"]) != expected:
        raise Refused(
            f"{statistics['slice']}: the counts lead to ranks {expected[0]} and {expected[1]}"
        )
    return statistics["low"], statistics["high"]


# -- verdicts ----------------------------------------------------------------------------------


def at_most(value: float, limit: float) -> bool:
    """Return whether value <= limit in decimal, to 12 places."""
    return round(Decimal(repr(float(value))), 12) <= round(Decimal(repr(float(limit))), 12)


def verdict_of(rule: Json, result: Json, *, anchored: bool) -> tuple[str, str]:
    """Return the verdict of a rule over its numbers and its code, and note the bound in them."""
    low, high, value = result["low"], result["high"], result["observed"]
    if rule["test"] == "bound":
        result["bound"] = rule["max"] if rule["max"] is not None else rule["min"]
    if value is None or result["n"] <= 0:
        return "no_data", "nothing_measured"
    if rule["test"] == "min_change":
        required = wanted_change(rule, result)
        value, low, high = (None if x is None else -x for x in (value, high, low))
        result.update(observed=value, low=low, high=high, bound=required)
    if rule["test"] == "no_regression":
        if result["p_adjusted"] is None:
            return "inconclusive", "no_test"
        family = of_family(rule, result)
    elif rule["test"] == "min_change":
        family = decided(low, high, lambda x: at_most(result["bound"], x), "low", CHANGE)
    elif rule["test"] == "non_inferiority":
        margin = rule["margin"]
        if anchored and rule["anchor_margin"] is not None:
            margin = rule["anchor_margin"]
        result["bound"] = margin
        family = decided(low, high, lambda x: at_most(x, margin), "high", MARGIN)
    else:
        family = within(rule, low, high)
    return enough(rule, result) or family


def enough(rule: Json, result: Json) -> tuple[str, str] | None:
    """Return the verdict on too little evidence, whatever its numbers say, None on enough."""
    if result["clusters"] == 1 and rule["mode"] == "required":
        return "error", "one_cluster"
    if result["clusters"] < rule["min_clusters"]:
        return "inconclusive", "few_clusters"
    return (
        ("inconclusive", "few_utterances")
        if result["utterances"] < rule["min_utterances"]
        else None
    )


CHANGE = ("better_enough", "not_better_enough", "change_inside_interval")
MARGIN = ("within_margin", "worse_than_margin", "margin_inside_interval")


def decided(
    low: float | None,
    high: float | None,
    holds: Callable[[float], bool],
    worst: str,
    codes: tuple[str, str, str],
) -> tuple[str, str]:
    """Return pass if the worst end holds, fail if the best end does not."""
    bad, good = (high, low) if worst == "high" else (low, high)
    if bad is None and good is None:
        return "inconclusive", "no_interval"
    if bad is not None and holds(bad):
        return "pass", codes[0]
    return (
        ("fail", codes[1]) if good is not None and not holds(good) else ("inconclusive", codes[2])
    )


def within(rule: Json, low: float | None, high: float | None) -> tuple[str, str]:
    """Return the verdict of a bound on a value."""
    top, bottom = rule["max"], rule["min"]
    if low is None and high is None:
        return "inconclusive", "no_interval"
    if top is not None and low is not None and not at_most(low, top):
        return "fail", "above_maximum"
    if bottom is not None and high is not None and not at_most(bottom, high):
        return "fail", "below_minimum"
    inside = (top is None or (high is not None and at_most(high, top))) and (
        bottom is None or (low is not None and at_most(bottom, low))
    )
    return ("pass", "within_bounds") if inside else ("inconclusive", "bound_inside_interval")


def of_family(rule: Json, result: Json) -> tuple[str, str]:
    """Return the verdict of one slice of a family."""
    if result["observed"] > 0 and at_most(result["p_adjusted"], 0.05):
        tolerated = rule.get("tolerate") or 0.0
        if result["low"] is None or not at_most(result["low"], tolerated):
            return "fail", "regressed"
        if not at_most(result["observed"], tolerated):
            return "inconclusive", "maybe_tolerated"
    key, codes = FAMILY_CODES[result["formulas"]]
    smallest = result[key]
    excluded = smallest is not None and at_most(smallest, rule["detectable"])
    return ("pass", codes[0]) if excluded else ("inconclusive", codes[1])


FAMILY_CODES = {
    1: ("detects", ("no_regression_seen", "too_weak_to_see")),
    2: ("excludes", ("ratio_excluded", "ratio_not_excluded")),
}
"""By method what a slice passes by: a ratio that would have been seen, or one that is excluded."""


def wanted_change(rule: Json, result: Json) -> float:
    """Return how much better the candidate has to be."""
    changes = [] if rule["min_change"] is None else [rule["min_change"]]
    relative, base = rule["min_relative_change"], result["baseline"] or 0.0
    if relative is not None and base != 0:
        places = [abs(round(Decimal(repr(float(x))), 12)) for x in (relative, base)]
        changes.append(float(places[0] * places[1]))
    elif relative is not None and not changes:
        changes.append(1e-10)
    return float(max(changes))


# -- a decision as a whole ---------------------------------------------------------------------


class Audit:
    """What came of judging a decision again.

    ``lines`` are the rows of the table of checks; ``unchecked`` the checks that had nothing to be
    judged from: they block, or have to be believed.
    """

    def __init__(self, predicate: Json) -> None:
        """Judge every part."""
        self.predicate = predicate
        self.problems: list[str] = []
        self.unchecked: list[Json] = []
        self.lines: list[tuple[str, ...]] = []
        self.verdicts: list[str] = []
        self._families: dict[Any, Family] = {}
        every = predicate["evidence"]["parts"]
        self.method = predicate["evidence"].get("method", 1)
        if self.method not in FAMILY_CODES:
            raise Refused(f"it was made by method {self.method}, newer than this verifier")
        evidence = {item["part"]: item for item in every}
        if len(evidence) != len(every):
            self.problems.append("the evidence of a part stands twice")
        for part in predicate["parts"]:
            part_evidence = evidence.get(part["name"])
            if part_evidence is None:
                self.problems.append(f"part {part['name']}: there is no evidence")
                continue
            self._policy(part, part_evidence)
            self._part(part, part_evidence)
        self._whole()

    @property
    def verdict(self) -> str:
        """The verdict as it is recorded."""
        return str(self.predicate["verdict"])

    @property
    def shadow(self) -> bool:
        """Whether it can never promote."""
        return bool(self.predicate["policy"]["enforcement"] == "shadow")

    @property
    def believed(self) -> list[str]:
        """The checks that pass and cannot be judged again."""
        return [label(check) for check in self.unchecked if check["verdict"] == "pass"]

    def _policy(self, part: Json, evidence: Json) -> None:
        """The rules in the evidence have to be those of the policy, and the digest its own."""
        name = part["policy"]["name"]
        document = self.predicate["policy"]["documents"].get(name)
        if document is None or digest(document) != part["policy"]["digest"]:
            self.problems.append(f"the document of the policy {name} does not have its digest")
            return
        if document["name"] != name:
            self.problems.append(f"the policy {name} calls itself otherwise")
        written = document.get("rules", [])
        if [rule["id"] for rule in written] != [rule["id"] for rule in evidence["rules"]]:
            self.problems.append("the rules are not those of the policy")
            return
        for rule, written_rule in zip(evidence["rules"], written, strict=True):
            changes = (
                written_rule.get("min_change") is not None
                or written_rule.get("min_relative_change") is not None
            )
            complete = {**DEFAULTS, "test": "min_change" if changes else "bound"}
            complete |= {k: document[k] for k in LEAST if k in document}
            complete |= {key: value for key, value in written_rule.items() if value is not None}
            for key, value in complete.items():
                ours = sorted(value.split("&")) if key == "slice" else value
                theirs = sorted(rule[key].split("&")) if key == "slice" else rule.get(key)
                if ours != theirs:
                    self.problems.append(f"{rule['id']}: {key} is not the policy's")
        scored, expected = part["coverage"]["scored"], part["coverage"]["expected"]
        # A decision that says so itself, and blocks, is an honest one.
        admitted = any(
            (check["part"], check["test"], check["mode"]) == (part["name"], "evidence", "required")
            and check["verdict"] != "pass"
            for check in self.predicate["checks"]
        )
        least = document.get("coverage", 0.99) * expected
        if not admitted and (not 0 < scored <= expected or scored < least):
            self.problems.append("coverage is below what the policy asks for")
        answered = scored - part["coverage"].get("failures", 0)
        safety = [r for r in written if r["metric"] in SAFETY and r.get("mode") != "advisory"]
        if safety and not admitted and answered < least:
            self.problems.append("safety is judged on fewer exchanges than the policy asks for")
        if document.get("population", "clusters") != (part.get("population") or "clusters"):
            self.problems.append("it speaks of another population than the policy")

    def _part(self, part: Json, evidence: Json) -> None:
        checks = [c for c in self.predicate["checks"] if c["part"] == part["name"]]
        try:
            tables = tables_of(evidence["sums"], self.method)
            for item in evidence["percentiles"]:
                for figures in item["slices"]:
                    sound(item["metric"], figures)
                    if figures["other"] is not None:
                        sound(item["metric"], figures["other"])
        except (Refused, KeyError) as error:
            self.problems.append(f"evidence: {error}")
            return
        rules = {rule["id"]: rule for rule in evidence["rules"]}
        for check in checks:
            rule = rules.get(check["rule"])
            if check["test"] in ("evidence", "requirement"):
                self._take(check)
            elif rule is None or (rule["metric"], rule["test"]) != (check["metric"], check["test"]):
                self._take(check)
                self.problems.append(f"{label(check)}: the policy has no such rule")
            else:
                if check["mode"] != rule["mode"] and not check["reason"].startswith(NEW):
                    self.problems.append(
                        f"{label(check)}: is {check['mode']}, the rule is {rule['mode']}"
                    )
                if check["code"] in UNKNOWABLE:
                    self._take(check)
                else:
                    self._again(rule, check, checks, part, tables, evidence)
        self._gaps(rules, checks, tables)

    def _gaps(self, rules: dict[str, Json], checks: list[Json], tables: dict[Any, Table]) -> None:
        """Every rule has a check, and every slice that there are sums of."""
        for rule in rules.values():
            rule_checks = [check for check in checks if check["rule"] == rule["id"]]
            if not rule_checks:
                self.problems.append(f"{rule['id']}: was not judged")
            against = None if rule["test"] == "bound" else "baseline"
            table = tables.get((rule["metric"], against, "cluster"))
            if table is None or any(check["code"] in UNKNOWABLE for check in rule_checks):
                continue
            judged = {check["slice"] for check in rule_checks}
            for name in table.slices:
                expected = (
                    matches(rule["slice"], name) and table.rows[name] and "(none)" not in name
                )
                if expected and name not in judged:
                    self.problems.append(f"{rule['id']}: {name} was measured and not judged")

    def _take(self, check: Json) -> None:
        """Take a check as it is written: it blocks, or it is believed."""
        if check["mode"] == "required":
            self.verdicts.append(check["verdict"])
        if check["verdict"] == "pass" and check["code"] in UNKNOWABLE:
            self.problems.append(f"{label(check)}: passes, and had nothing to be judged by")
        self.unchecked.append(check)
        self.lines.append((check["rule"], check["slice"], check["verdict"], "-", "believed", ""))

    def _again(
        self,
        rule: Json,
        check: Json,
        checks: list[Json],
        part: Json,
        tables: dict[Any, Table],
        evidence: Json,
    ) -> None:
        against = check["against"]
        try:
            if rule["test"] == "no_regression":
                result = self._family(rule, check, checks, part, tables)
            else:
                result = one_check(rule, check, tables, evidence)
        except Refused as error:
            self.problems.append(f"{label(check)}: {error}")
            return
        if result is None:
            self._take(check)
            return
        verdict, code = verdict_of(rule, result, anchored=against == "anchor")
        result.update(
            verdict=verdict,
            code=code,
            unit=unit_of(rule["metric"]),
            against=None if rule["test"] == "bound" else against or "baseline",
            quantity="value" if rule["test"] == "bound" else "worsening",
        )
        if rule["test"] == "min_change" and verdict != "no_data":
            result["quantity"] = "improvement"
        self._compare(check, result)

    def _family(
        self, rule: Json, check: Json, checks: list[Json], part: Json, tables: dict[Any, Table]
    ) -> Json | None:
        table = tables.get((rule["metric"], "baseline", "cluster"))
        if table is None or check["slice"] not in table.slices:
            return None
        fresh = check["reason"].startswith(NEW)
        together = {rule["id"]} if fresh else self._together(part, rule)
        names = [
            other_check["slice"]
            for other_check in checks
            if other_check["rule"] in together
            and other_check["code"] not in UNKNOWABLE
            and other_check["reason"].startswith(NEW) == fresh
        ]
        key = (part["name"], min(together), fresh)
        if key not in self._families:
            measured = [name for name in dict.fromkeys(names) if name in table.slices]
            family = Family(table, measured)
            family.families = self._count_families(part)
            if family.rows:
                family.flip(
                    "\n".join(
                        [
                            part["dataset"]["digest"],
                            part["candidate"]["candidate"],
                            part["baseline"]["candidate"],
                            rule["metric"],
                        ]
                    )
                )
                if rule["mode"] == "advisory" or (fresh and rule["mode"] == "required"):
                    group = [c for c in checks if c["rule"] == rule["id"] and c["slice"] in names]
                    self._by_discoveries(family, table, group)
            self._families[key] = family
        return self._of_slice(self._families[key], table, check["slice"])

    def _by_discoveries(self, family: Family, table: Table, checks: list[Json]) -> None:
        """Let a family that blocks nothing hold its own false discovery rate.

        Older decisions corrected it like those that block: it stays so where that is what the
        checks say.
        """
        as_blocking, now = (False, family.families), (True, 1)
        for family.discoveries, family.families in (now, as_blocking):
            recomputed = [
                (check, self._of_slice(family, table, check["slice"])) for check in checks
            ]
            if all(
                same(key, result[key], check.get(key))
                for check, result in recomputed
                for key in CORRECTED
            ):
                return
        family.discoveries, family.families = now

    def _count_families(self, part: Json) -> int:
        """Return over how many families of slices a policy shares its 5 % (Bonferroni)."""
        rules = self._rules_of(part)
        return max(1, len({rule["metric"] for rule in rules if blocks_as_family(rule)}))

    def _rules_of(self, part: Json) -> list[Json]:
        evidence = (e for e in self.predicate["evidence"]["parts"] if e["part"] == part["name"])
        return [rule for item in evidence for rule in item["rules"]]

    def _together(self, part: Json, rule: Json) -> set[str]:
        """Return the ids of the rules whose slices are one family with those of a rule."""
        if not blocks_as_family(rule):
            return {rule["id"]}
        rules = [r for r in self._rules_of(part) if blocks_as_family(r)]
        return {one["id"] for one in rules if one["metric"] == rule["metric"]}

    def _of_slice(self, family: Family, table: Table, name: str) -> Json:
        result = difference(table, name)
        result.update(low=None, high=None, formulas=self.method)
        if name in family.rows and self.method == 1:
            reference = reference_rates(family)[name]
            result.update(
                detects=detects(family, name, reference), bound=0.0 if reference > 0 else None
            )
        elif name in family.rows:
            result.update(excludes=family.exclusion().smallest(name), bound=0.0)
        if name in family.rows:
            result.update(p_adjusted=family.p_adjusted()[name], low=family.low(name))
        return result

    def _compare(self, check: Json, result: Json) -> None:
        """Note a check with both numbers, and every difference as a problem."""
        if check["mode"] == "required":
            self.verdicts.append(result["verdict"])
        # An interval within a single cluster decides nothing, and its sums are not in here.
        alone = check["clusters"] <= 1 and result["verdict"] == check["verdict"] in UNDECIDED
        result.pop("formulas", None)
        wrong = [] if alone else [k for k in result if not same(k, result[k], check.get(k))]
        if wrong:
            differences = "; ".join(f"{key} is {result[key]}, not {check[key]}" for key in wrong)
            self.problems.append(f"{label(check)}: {differences}")
        self.lines.append(
            (
                check["rule"],
                check["slice"],
                f"{check['verdict']} {span(check)}",
                f"{result['verdict']} {span(result)}",
                "differs" if wrong else "agrees",
                "" if check["mode"] == "required" else check["mode"],
            )
        )

    def _whole(self) -> None:
        """The verdict of all has to be the first that occurs among those of required checks."""
        judged = {part["name"] for part in self.predicate["parts"]}
        checks = self.predicate["checks"]
        for check in checks:
            if check["part"] not in judged:
                self._take(check)
                if check["part"] is not None and check["code"] != "part_missing":
                    self.problems.append(f"{label(check)}: its part was not judged")
        required = [check for check in checks if check["mode"] == "required"]
        verdict = next((name for name in ORDER if name in self.verdicts), "error")
        if verdict == "pass" and all(check["test"] == "evidence" for check in required):
            verdict = "error"
        if verdict != self.predicate["verdict"]:
            self.problems.append(
                f"the checks lead to {verdict}, the decision says {self.predicate['verdict']}"
            )
        blocking = [check for check in required if check["verdict"] != "pass"]
        blocking.sort(key=lambda check: ORDER.index(check["verdict"]))
        if [*dict.fromkeys(check["code"] for check in blocking)] != self.predicate["reason_codes"]:
            self.problems.append("the reason codes are not those of the checks")
        policy = self.predicate["policy"]
        document = policy["documents"].get(policy["name"])
        if document is None:
            self.problems.append("the policy's document is not in the decision")
            return
        if document.get("enforcement", "enforce") != policy["enforcement"]:
            self.problems.append("the enforcement is not the policy's")
        self._launch(policy, document)
        self._requirements(document)

    def _launch(self, policy: Json, document: Json) -> None:
        """The digest of the policy covers those of its parts, and all of them were judged."""
        parts = document.get("parts", {})
        computed, documents = digest(document), policy["documents"]
        if parts:
            computed = digest(
                {
                    "policy": computed,
                    "parts": {k: digest(documents[n]) for k, n in parts.items() if n in documents},
                }
            )
        if computed != policy["digest"]:
            self.problems.append(
                f"the policy {policy['name']} does not have the digest of its document"
            )
        judged = {part["name"]: part["policy"]["name"] for part in self.predicate["parts"]}
        missing = {c["part"] for c in self.predicate["checks"] if c["code"] == "part_missing"}
        for part, name in parts.items():
            if judged.get(part) != name and (part in judged or part not in missing):
                self.problems.append(f"{part}: was not judged by the policy {name}")

    def _requirements(self, document: Json) -> None:
        """Every required check has a result, and passes by a record that was good at that time."""
        records = {entry["name"]: entry for entry in self.predicate["required_checks"]}
        results = {c["rule"]: c for c in self.predicate["checks"] if c["test"] == "requirement"}
        documents = [
            document,
            *(
                self.predicate["policy"]["documents"].get(name, {})
                for name in document.get("parts", {}).values()
            ),
        ]
        names = [None, *document.get("parts", {})]
        required = [
            {"name": entry, "of": part} if isinstance(entry, str) else {**entry, "of": part}
            for part, each in zip(names, documents, strict=True)
            for entry in each.get("requires", [])
        ]
        judged = {
            part["name"]: {part["candidate"][key] for key in ("artifact", "candidate")} - {None}
            for part in self.predicate["parts"]
        }
        everything = {digest for of_part in judged.values() for digest in of_part}
        for requirement in required:
            name, about = requirement["name"], requirement.get("about")
            of_part = requirement["of"] if about == "candidate" else about
            digests = everything if of_part is None else judged.get(of_part, set())
            result, record = results.get(name), records.get(name)
            if result is None or result["mode"] != "required":
                self.problems.append(f"{name}: is required and was not judged")
            elif result["verdict"] == "pass":
                why = next(self._not_good(record, digests, requirement), None)
                self.problems += [f"{name}: passes {why}"] if why else []
        for name in results.keys() - {entry["name"] for entry in required}:
            self.problems.append(f"{name}: is a requirement that the policy does not know")

    def _not_good(self, record: Json | None, digests: set[str], asked: Json) -> Iterator[str]:
        """Yield why a required check cannot pass by a record, the first counts."""
        if record is None or record["verdict"] != "pass":
            yield "without a record that passed"
            return
        if asked.get("signed") and record["key"] is None:
            yield "without the signature that is asked for"
        if not record["created"] <= self.predicate["created"] < (record["expires"] or "9"):
            yield "with a record that was not valid at that time"
        most = asked.get("max_age")
        oldest = timedelta(seconds=duration_s(most or "0s"))
        if most and moment(self.predicate["created"]) - moment(record["created"]) > oldest:
            yield "with a record that was older than is allowed"
        if asked.get("about") is not None and record["candidate"] is None:
            yield "with a record that names no candidate"
        if record["candidate"] not in (None, *digests):
            yield "with a record about another candidate"


def label(check: Json) -> str:
    """Return what a check is called in words."""
    part = "" if check["part"] is None else f"{check['part']}: "
    return f"{part}{check['rule']} on {check['slice']}" + (
        " (anchor)" if check["against"] == "anchor" else ""
    )


def unit_of(metric: str) -> str:
    """Return the unit of a metric's values."""
    base = metric.partition(".")[0]
    return "ms" if base.endswith("_ms") else UNITS.get(base, "fraction")


LEAST = ("min_clusters", "min_utterances")
BOUNDS = ["max", "min", "margin", "min_change", "min_relative_change", "anchor_margin"]
DEFAULTS: Json = {
    **dict.fromkeys(BOUNDS),
    "slice": "overall",
    "mode": "required",
    "detectable": 2.0,
    "tolerate": None,
    "min_clusters": 5,
    "min_utterances": 30,
}

CORRECTED = ("p_adjusted", "low", "detects", "excludes")


def one_check(rule: Json, check: Json, tables: dict[Any, Table], evidence: Json) -> Json | None:
    """Return the numbers of a check of one slice, None where there are no sums for it."""
    name, against, method = check["slice"], check["against"], check.get("method")
    side = None if rule["test"] == "bound" else against or "baseline"
    table = tables.get((rule["metric"], side, "cluster"))
    if table is not None and name in table.slices:
        if side is not None:
            return difference(table, name)
        return bound(table, name, tables.get((rule["metric"], None, "repeat")), method)
    for item in evidence["percentiles"]:
        if (item["metric"], item["against"]) == (rule["metric"], side):
            for statistic in item["slices"]:
                if statistic["slice"] == name:
                    sign = -1.0 if rule["metric"] in MORE_IS_BETTER else 1.0
                    if side is None:
                        return percentile(item["share"], statistic)
                    return percentile_difference(item["share"], statistic, asked(item), sign=sign)
    return None


def matches(pattern: str, name: str) -> bool:
    """Return whether a slice is one of those of a rule."""
    if "overall" in (pattern, name):
        return pattern == name
    pattern_parts, name_parts = pattern.split("&"), name.split("&")
    return len(pattern_parts) == len(name_parts) and all(
        a == b or (a.endswith("=*") and b.startswith(a[:-1]))
        for a, b in zip(pattern_parts, name_parts, strict=True)
    )


def same(key: str, ours: Any, theirs: Any) -> bool:  # noqa: ANN401 - a number, words or none
    """Return whether two values are the same: counts and words exactly, others to 1e-9."""
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, str | int):
        return bool(ours == theirs)
    relative = SEARCHED if key in ("detects", "excludes") else RELATIVE
    return math.isclose(ours, theirs, rel_tol=relative, abs_tol=1e-12)


def span(result: Json) -> str:
    """Return a value and its interval for the table."""
    return " ".join("-" if result[k] is None else f"{result[k]:.6g}" for k in SHOWN)


SHOWN = ("observed", "low", "high")


# -- canaries: bets on which arm a unit of traffic was in ---------------------------------------

# A unit (session, user) was in the canary with the chance of the step's share, whatever went wrong
# in it. Whoever bets on its arm from that, at fair odds, wins only if the arms differ.

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)  # odds of the canary over those of control
STAKES = (0.15, 0.20, 0.25, 0.20, 0.10, 0.10)
CHANGES = (0.05, 0.1, 0.2, 0.5, 1.0)  # of a mean, with equal stakes
NOTHING = -100_000  # the bin of an amount of 0; others are 1.02**bin
EVERY = "units"  # the histogram of all units, whatever was measured of them
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LIMITS_MS = {
    "voice-cloud": {
        "asr_ms": 500.0,
        "llm_ttft_ms": 400.0,
        "tts_ttfb_ms": 250.0,
        "network_ms": 150.0,
        "latency_ms": 1100.0,
    },
    "voice-local-cpu": {"latency_ms": 1500.0},
}

Cell = tuple[bool, int, int, int]
"""In the canary, turns (or base), events (or bin of the amount), and how many such units."""


def fraction(written: Any) -> float:  # noqa: ANN401 - as YAML has it
    """Return ``5%`` and 0.05 alike."""
    if isinstance(written, str):
        return float(Decimal(written.removesuffix("%").strip()) / 100)
    return float(written)


def paid(exponent: float, share: float) -> float:
    """Return ln(1 + p (e^z - 1)): what a fair bet of e^z on an arm of chance p costs."""
    if exponent > 30:
        return exponent + math.log(share + (1 - share) * math.exp(-exponent))
    return math.log1p(share * math.expm1(exponent))


def of_arm(cells: Iterable[Cell], *, canary: bool) -> list[Cell]:
    """Return the cells of one arm."""
    return [cell for cell in cells if cell[0] is canary]


def units_in(cells: Iterable[Cell]) -> int:
    """Return how many units there are."""
    return sum(cell[3] for cell in cells)


def both(cells: Iterable[Cell]) -> bool:
    """Return whether both arms have units."""
    return len({cell[0] for cell in cells if cell[3]}) == 2


def rate_of(cells: Iterable[Cell]) -> float | None:
    """Return events over turns."""
    sums = [(e * u, n * u) for _, n, e, u in cells]
    turns = sum(n for _, n in sums)
    return sum(e for e, _ in sums) / turns if turns else None


def event_capitals(
    cells: list[Cell], share: float, toward: float | None
) -> tuple[list[float], list[float]]:
    """Return the log capital of the bet on each ratio of odds, of one step's units, and log ratios.

    ``toward``: the rate of all units, of which a slice gets 300 turns. What the bets are tuned with
    (rate, likeness of the turns of a unit) comes from both arms together. A bet is the first order
    of the likelihood ratio, which comes second: a harm is ruled out where both have lost.
    """
    if not both(cells):
        return [0.0] * len(RATIOS), [0.0] * len(RATIOS)
    turns = sum(n * u for _, n, _, u in cells)
    events = sum(e * u for _, _, e, u in cells)
    rate = events / turns if toward is None else (events + 300 * toward) / (turns + 300)
    pairs = sum(n * (n - 1) * u for _, n, _, u in cells)
    likeness = 0.0
    if pairs and 0 < rate < 1:
        spread_of_units = math.fsum(u * (e - rate * n) ** 2 for _, n, e, u in cells)
        likeness = (spread_of_units / (rate * (1 - rate)) - turns) / pairs
        likeness = min(1.0, max(0.0, likeness))
    alike = [1 + (n - 1) * likeness for _, n, _, _ in cells]
    bets, exact = [], []
    for ratio in RATIOS:
        log, penalty = math.log(ratio), math.log1p(controls_rate(rate, share, ratio) * (ratio - 1))
        scores = [log * (c[2] - rate * c[1]) / a for c, a in zip(cells, alike, strict=True)]
        tilts = [(c[2] * log - c[1] * penalty) / a for c, a in zip(cells, alike, strict=True)]
        bets.append(gain(cells, scores, share))
        exact.append(gain(cells, tilts, share))
    return bets, exact


def controls_rate(rate: float, share: float, ratio: float) -> float:
    """Return control's rate if the canary's odds are this ratio of it and both pool to ``rate``.

    It solves (1 - p) r + p t r / (1 + (t - 1) r) = rate.
    """
    square, linear = (1 - share) * (ratio - 1), 1 - share + share * ratio - rate * (ratio - 1)
    return 2 * rate / (linear + math.sqrt(linear * linear + 4 * square * rate))


def amount_capitals(cells: list[Cell], share: float) -> list[float]:
    """Return the log capital of the bet on each relative change of a mean, of one step's units."""
    bases = sum(d * u for _, d, _, u in cells)
    if not both(cells) or not bases:
        return [0.0] * len(CHANGES)
    amounts = [amount(place) for _, _, place, _ in cells]
    ratio = math.fsum(y * c[3] for y, c in zip(amounts, cells, strict=True)) / bases
    away = [y - ratio * c[1] for y, c in zip(amounts, cells, strict=True)]
    units = units_in(cells)
    wide = math.sqrt(math.fsum(x * x * c[3] for x, c in zip(away, cells, strict=True)) / units)
    size = abs(ratio) * bases / units
    if wide <= 1e-9 * max(size, *amounts):
        return [0.0] * len(CHANGES)
    scores = [min(5.0, max(-5.0, x / wide)) for x in away]
    tilts = [min(1.0, change * size / wide) for change in CHANGES]
    return [gain(cells, [x * tilt for x in scores], share) for tilt in tilts]


def amount(place: int) -> float:
    """Return the amount in a bin."""
    return 0.0 if place == NOTHING else float(1.02**place)


def gain(cells: list[Cell], exponents: list[float], share: float) -> float:
    """Return what a bet has won: ln of e^(A z) over its price, of all units."""
    return math.fsum(
        cell[3] * (cell[0] * z - paid(z, share)) for cell, z in zip(cells, exponents, strict=True)
    )


def mixed(capitals: list[float], stakes: Iterable[float]) -> float:
    """Return the evidence: the capital of all bets together, at most 1e300."""
    logs = [log + math.log(stake) for log, stake in zip(capitals, stakes, strict=True)]
    most = max(logs)
    log = most + math.log(math.fsum(math.exp(one - most) for one in logs))
    return min(1e300, math.exp(min(log, math.log(1e300))))


def excluded(capitals: list[float], ratios: tuple[float, ...]) -> float | None:
    """Return the smallest ratio that is ruled out with all above it: each lost 50 to 1."""
    smallest = None
    for log, ratio in reversed(list(zip(capitals, ratios, strict=True))):
        if log > -math.log(50):
            break
        smallest = ratio
    return smallest


@cache
def legendre(count: int) -> list[tuple[float, float]]:
    """Return nodes and weights of Gauss and Legendre within (0, 1), by Newton's method."""
    made = []
    for k in range(1, count + 1):
        x = math.cos(math.pi * (k - 0.25) / (count + 0.5))
        for _ in range(20):
            before, here = 1.0, x
            for n in range(2, count + 1):
                before, here = here, ((2 * n - 1) * x * here - (n - 1) * before) / n
            slope = count * (x * here - before) / (x * x - 1)
            x -= here / slope
        made.append(((x + 1) / 2, 1 / ((1 - x * x) * slope * slope)))
    return made


def rarer(cells: list[Cell], floor: float) -> bool:
    """Return whether the canary's rate is shown to be below a floor, 50 to 1.

    The likelihood of k hit among m units, mixed over chances u = v^2 q below that at the floor, q.
    """
    here = of_arm(cells, canary=True)
    if not both(cells):
        return False
    units = units_in(here)
    hit = sum(u for _, _, e, u in here if e)
    free = sum(n * u for _, n, _, u in here) / units * math.log1p(-floor)
    chance = -math.expm1(free)
    logs = [
        hit * math.log(v * v) + (units - hit) * (math.log1p(-chance * v * v) - free)
        for v, _ in legendre(64)
    ]
    return mixed(logs, [weight for _, weight in legendre(64)]) >= 50


def uneven(splits: list[tuple[int, int, float]]) -> float:
    """Return the evidence that units were not split at the shares, of (canary, all, share)."""
    log = 0.0
    for canary, units, share in splits:
        a, b = 1000 * share, 1000 * (1 - share)
        rest = units - canary
        mix = math.lgamma(a + canary) + math.lgamma(b + rest) - math.lgamma(a + b + units)
        log += mix - math.lgamma(a) - math.lgamma(b) + math.lgamma(a + b)
        log -= canary * math.log(share) + rest * math.log1p(-share)
    return math.exp(min(log, math.log(1e300)))


class Watched:
    """A trigger as the policy spells it out: tails have one for each time and percentile."""

    def __init__(self, written: Json, name: str) -> None:
        """Take the defaults where the policy says nothing."""
        self.name = name
        self.mean, self.tail = (written.get(key) is not None for key in ("mean", "tail"))
        self.mode = written.get("mode", "required")
        floor = written.get("floor")
        self.floor = 0.001 if floor is None else fraction(floor)
        detectable = written.get("detectable")
        self.detectable = None if detectable is None else fraction(detectable)
        self.ratios = CHANGES if self.mean else RATIOS

    def needed(self, detectable: float) -> float:
        """Return the ratio to rule out: the step's, or the mean's own change."""
        return self.detectable if self.mean and self.detectable is not None else detectable


def watched_of(document: Json) -> list[Watched]:
    """Return all that a policy bets on."""
    every = []
    for written in document["triggers"]:
        name, times = written["id"], written.get("tail")
        if times is None:
            every.append(Watched(written, name))
            continue
        times = [times] if isinstance(times, str) else times
        every += [
            Watched(written, f"{name}{'' if len(times) == 1 else '.' + time}.{at}")
            for time in times
            for at in written.get("at") or ["p95"]
        ]
    return every


class Judged:
    """A trigger in a slice, judged from the histogram of all steps."""

    def __init__(self, audit: "CanaryAudit", trigger: Watched, name: str, mode: str) -> None:
        """Bet in each step, and add up."""
        self.trigger, self.slice, self.mode = trigger, name, mode
        self.capitals = exact = [0.0] * len(trigger.ratios)
        self.cells: list[Cell] = []
        for i, share in enumerate(audit.shares, 1):
            cells = audit.cells(i, trigger.name, name, amounts=trigger.mean)
            toward = None
            if name != "overall" and not trigger.mean:
                toward = rate_of(audit.cells(i, trigger.name, "overall"))
            if trigger.mean:
                won = ratios = amount_capitals(cells, share)
            else:
                won, ratios = event_capitals(cells, share, toward)
            self.capitals = [a + b for a, b in zip(self.capitals, won, strict=True)]
            exact = [a + b for a, b in zip(exact, ratios, strict=True)]
            self.cells += cells
        stakes = [0.2] * len(CHANGES) if trigger.mean else STAKES
        self.evidence = mixed(self.capitals, stakes)
        self.ruling = [max(pair) for pair in zip(self.capitals, exact, strict=True)]
        self.smallest = excluded(self.ruling, trigger.ratios)
        self.below = not trigger.mean and rarer(self.cells, trigger.floor)
        self.measured = bool(units_in(self.cells))

    def done(self, detectable: float) -> bool:
        """Return whether the harm to rule out is ruled out, or the rate too small to matter."""
        place = self.trigger.ratios.index(self.trigger.needed(detectable))
        return self.below or self.ruling[place] <= -math.log(50)

    def figures(self, *, canary: bool) -> Json:
        """Return units, turns and events of an arm, and the rate or the mean."""
        here = of_arm(self.cells, canary=canary)
        turns = sum(n * u for _, n, _, u in here)
        events, value = 0, None
        if self.trigger.mean:
            summed = math.fsum(amount(place) * u for _, _, place, u in here)
            value = summed / turns if turns else None
        else:
            events = sum(e * u for _, _, e, u in here)
            value = events / turns if turns else None
        return {"units": units_in(here), "turns": turns, "events": events, "value": value}

    def result(self, step: Json | None, weight: float, total: float, threshold: float) -> Json:
        """Return what a decision has to say of it."""
        harmful = weight > 0 and total >= threshold and self.evidence >= threshold
        status = "quiet"
        if harmful:
            status = "harm"
        elif not both(self.cells):
            status = "no_data"
        elif step is not None and self.done(step["detectable"]):
            status = "ruled_out"
        return {
            "mode": self.mode,
            "status": status,
            "control": self.figures(canary=False),
            "canary": self.figures(canary=True),
            "evidence": self.evidence,
            "share_of_evidence": weight * self.evidence / total,
            "smallest_ruled_out": self.smallest,
            "below_floor": self.below,
        }


class CanaryAudit:
    """What came of judging a canary again, by the bets that its histogram gives.

    ``lines`` are the rows of the table of checks. ``believed`` is what the verdict rests on and no
    histogram shows: how long the step has lasted, turns that were lost, an earlier rollback.
    """

    def __init__(self, predicate: Json) -> None:
        """Judge the whole; raises Refused, or one of MALFORMED."""
        self.predicate, self.report = predicate, predicate["report"]
        self.document = predicate["policy"]["document"]
        self.problems: list[str] = []
        self.believed: list[str] = []
        self.lines: list[tuple[str, ...]] = []
        self.verdict = str(self.report["verdict"])
        self.shadow = self.report["enforcement"] == "shadow"
        self.relative = RELATIVE
        self.times: dict[str, str] = {}
        self._policy()
        self.shares: list[float] = [step["share"] for step in predicate["steps"]]
        self._histograms = {
            False: self._read(predicate["histogram"], events=True),
            True: self._read(predicate["amounts"], events=False),
        }
        # Sums over very many units have fewer digits that are certain.
        every = [self.cells(i, EVERY, "overall") for i in range(1, len(self.shares) + 1)]
        self.relative = max(RELATIVE, 1e-15 * sum(map(units_in, every)))
        self._judge()

    def cells(self, step: int, trigger: str, name: str, *, amounts: bool = False) -> list[Cell]:
        """Return the units of a step, trigger and slice."""
        return self._histograms[amounts].get((step, trigger, name), [])

    def _problem(self, what: str, theirs: object, ours: object) -> None:
        self.problems.append(f"{what} is {theirs}, recomputed {ours}")

    def _equal(self, what: str, theirs: Any, ours: Any) -> None:  # noqa: ANN401 - any value
        if not agrees(theirs, ours, self.relative):
            self._problem(what, theirs, ours)

    def _policy(self) -> None:
        """The policy has its digest, and the steps that had begun are its steps."""
        policy, document, made = self.predicate["policy"], self.document, self.predicate["created"]
        if digest(document) != policy["digest"]:
            self.problems.append(f"the document of the policy {policy['name']} is another one")
        if document["name"] != policy["name"] or document["schema"] != "relkit.canary/v1":
            self.problems.append("the policy calls itself otherwise")
        alpha = fraction(document.get("alpha", 0.05))
        self._equal(
            "enforcement", self.report["enforcement"], document.get("enforcement", "enforce")
        )
        self._equal("alpha", self.report["alpha"], alpha)
        self._equal("threshold", self.report["threshold"], 1 / alpha)
        steps, planned = self.predicate["steps"], document["steps"]
        for step in steps:
            if not 0 < step["index"] <= len(planned):
                raise Refused(f"the policy has no step {step['index']}")
            share = fraction(planned[step["index"] - 1]["share"])
            self._equal(f"the share of step {step['index']}", step["share"], share)
        times = [moment(step["since"]) for step in steps]
        if times != sorted(set(times)) or (times and times[-1] > moment(made)):
            self.problems.append("the steps did not begin one after the other, before the decision")
        began = [step.get("from") for step in planned if step.get("from") is not None]
        past = [time for time in began if moment(time) <= moment(made)]
        if document.get("model") is None and (
            [step["since"] for step in steps] != past
            or [step["index"] for step in steps] != list(range(1, len(past) + 1))
        ):
            self.problems.append("the steps are not those that the policy says had begun")
        if self.predicate["subject"]["model"] != document.get("model"):
            self.problems.append("it is about another model than the policy")
        self.alpha = alpha

    def _read(self, entries: list[Json], *, events: bool) -> dict[tuple[int, str, str], list[Cell]]:
        """Return a histogram by step, trigger and slice; raises Refused for what cannot be."""
        read: dict[tuple[int, str, str], list[Cell]] = {}
        for entry in entries:
            key = (entry["step"], entry["trigger"], entry["slice"])
            if key in read or not 0 < entry["step"] <= len(self.shares):
                raise Refused(f"the histogram of {key[1]} on {key[2]} stands twice, or in no step")
            cells = [
                (arm == "canary", *cell) for arm in ("control", "canary") for cell in entry[arm]
            ]
            for _, first, second, units in cells:
                if any(type(n) is not int for n in (first, second, units)) or units < 0:
                    raise Refused(f"the histogram of {key[1]} on {key[2]} counts no units")
                if events and not (0 <= second <= first and first > 0):
                    raise Refused(f"a unit of {key[1]} on {key[2]} has more events than turns")
                if not events and (first < 0 or abs(second) > -NOTHING):
                    raise Refused(f"an amount of {key[1]} on {key[2]} is none")
            read[key] = cells
        return read

    def _bets(self) -> list[Judged]:
        """Return every trigger, overall and in each slice that any unit belongs to."""
        modes = {}
        for column in self.document.get("slices") or []:
            written = {"column": column} if isinstance(column, str) else column
            modes[written["column"]] = written.get("mode", "watch")
        watched = watched_of(self.document)
        bets = [Judged(self, trigger, "overall", trigger.mode) for trigger in watched]
        self.slices = sorted(
            {name for _, what, name in self._histograms[False] if what == EVERY} - {"overall"}
        )
        for name in self.slices:
            mode = modes.get(name.partition("=")[0])
            if mode is None:
                self.problems.append(f"the policy does not watch {name}")
            for trigger in watched:
                if trigger.mode != "advisory":
                    watch = trigger.mode == "watch" or mode is None
                    bets.append(Judged(self, trigger, name, "watch" if watch else str(mode)))
        self._unknown({trigger.name for trigger in watched})
        return bets

    def _unknown(self, watched: set[str]) -> None:
        """Find units of what the policy does not watch, and more of them than there are."""
        known = (
            watched | {EVERY} | {f"limit.{one['id']}" for one in self.document.get("limits") or []}
        )
        for histogram in self._histograms.values():
            for (step, name, where), cells in histogram.items():
                if name not in known or where not in ("overall", *self.slices):
                    self.problems.append(f"the policy does not watch {name} on {where}")
                for canary in (False, True):
                    every = units_in(of_arm(self.cells(step, EVERY, where), canary=canary))
                    if units_in(of_arm(cells, canary=canary)) > every:
                        self.problems.append(f"{name} on {where} has more units than there are")

    def _judge(self) -> None:
        """Judge by harm, then by what is unfit, then by what is not ruled out."""
        report, steps, planned = self.report, self.predicate["steps"], self.document["steps"]
        step = None if not steps else planned[steps[-1]["index"] - 1]
        bets = self._bets()
        counting = [bet for bet in bets if bet.mode != "advisory" and bet.measured]
        overall = [bet.evidence for bet in counting if bet.slice == "overall"]
        sliced = [bet.evidence for bet in counting if bet.slice != "overall"]
        halves = 0.5 if overall and sliced else 1.0
        each = {True: halves / max(1, len(overall)), False: halves / max(1, len(sliced))}
        total = each[True] * math.fsum(overall) + each[False] * math.fsum(sliced)
        total = min(1e300, total) if counting else 1.0
        self._equal("the evidence", report["evidence"], total)
        results = {}
        for bet in bets:
            weight = each[bet.slice == "overall"] if bet in counting else 0.0
            key = bet.trigger.name, bet.slice
            results[key] = bet.result(step, weight, total, 1 / self.alpha)
        self._checks(results)
        ratio = self._sample_ratio()
        harms = {f"harm:{name}" for (name, _), r in results.items() if r["status"] == "harm"}
        harms |= {f"limit:{one}" for one in self._limits()}
        self._verdict(harms, [] if step is None else self._holds(step, bets, ratio=ratio))
        self._outlook(step, bets)

    def _checks(self, results: dict[tuple[str, str], Json]) -> None:
        """Hold every recorded check against the recomputed one."""
        recorded = {(one["trigger"], one["slice"]): one for one in self.report["checks"]}
        if len(recorded) != len(self.report["checks"]) or set(recorded) != set(results):
            self.problems.append("the checks are not those that the policy and histogram give")
        for key, ours in results.items():
            theirs = recorded.get(key)
            if theirs is None:
                continue
            off = [
                name
                for name, value in ours.items()
                if not agrees(theirs.get(name), value, self.relative)
            ]
            for name in off:
                self._problem(f"{key[0]} on {key[1]}: {name}", theirs.get(name), ours[name])
            texts = [f"{one['evidence']:.6g} {one['status']}" for one in (theirs, ours)]
            said = "differs" if off else "agrees"
            self.lines.append((*map(str, key), *texts, said, str(ours["mode"])))

    def _sample_ratio(self) -> bool:
        """Recompute whether units were split as the steps say; return whether they were not."""
        theirs = self.report["sample_ratio"]
        if not self.shares:
            self._equal("the sample ratio", theirs, None)
            return False
        splits = {name: self._splits(name) for name in ("overall", *self.slices)}
        evidence = {"overall": uneven(splits["overall"])}
        columns = defaultdict(list)
        for name in self.slices:
            columns[name.partition("=")[0]].append(uneven(splits[name]))
        evidence |= {column: sum(values) / len(values) for column, values in columns.items()}
        worst = max(evidence, key=lambda name: (evidence[name], name == "overall"))
        canary, units, share = splits["overall"][-1]
        ours = {
            "expected": share,
            "observed": canary / units if units else None,
            "units": units,
            "mismatch": evidence[worst] >= 1000,
            "slice": None if worst == "overall" else worst,
        }
        for name, value in ours.items():
            self._equal(f"the sample ratio's {name}", theirs.get(name), value)
        # A logarithm of a factorial of millions has fewer digits after the point.
        if not math.isclose(theirs["evidence"], evidence[worst], rel_tol=1e-6):
            self._problem("the sample ratio's evidence", theirs["evidence"], evidence[worst])
        return bool(ours["mismatch"])

    def _splits(self, name: str) -> list[tuple[int, int, float]]:
        splits = []
        for i, share in enumerate(self.shares, 1):
            cells = self.cells(i, EVERY, name)
            splits.append((units_in(of_arm(cells, canary=True)), units_in(cells), share))
        return splits

    def _limits(self) -> list[str]:
        """Return the limits that are broken; times of a budget have to be believed."""
        written = self.document.get("limits") or []
        if [one["id"] for one in written] != [one["id"] for one in self.report["limits"]]:
            self.problems.append("the limits are not those of the policy")
            return []
        broken = []
        for limit, theirs in zip(written, self.report["limits"], strict=True):
            name, least = limit["id"], limit.get("min_units", 50)
            budget = limit.get("budget")
            cells = self.cells(len(self.shares), EVERY if budget else f"limit.{name}", "overall")
            here = of_arm(cells, canary=True)
            value = theirs["value"] if budget else rate_of(here)
            most = fraction(limit.get("max") or 0)
            if budget is not None:
                allowed = LIMITS_MS[budget]
                stage = theirs["what"].rpartition(" ")[2]
                most = allowed[stage] if value is not None else min(allowed.values())
            over = units_in(here) >= least and value is not None and value > most
            ours = {"value": value, "max": most, "units": units_in(here), "broken": over}
            for key, our in ours.items():
                self._equal(f"limit {name}: {key}", theirs[key], our)
            broken += [name] if over else []
            if budget is not None and value is not None:
                self.times[f"limit:{name}"] = f"limit {name}: {theirs['what']} is {value:.6g} ms"
        return broken

    def _holds(self, step: Json, bets: list[Judged], *, ratio: bool) -> list[str]:
        """Return what keeps the canary from its next step, as far as it can be recomputed."""
        report, last = self.report, len(self.shares)
        now = self.cells(last, EVERY, "overall")
        if not units_in(now):
            return ["no_data"]
        lost = report["lost"]
        names = ("late", "future", "naive", "unnamed", "unknown_arm", "both_arms", "bad_value")
        gone = sum(lost[name] for name in names)
        missing = gone / (gone + lost["used"]) if gone else 0.0
        self._equal("the share of turns that are missing", report["missing"], missing)
        holds = [] if both(now) else ["one_arm"]
        if missing > fraction(self.document.get("max_missing", 0.01)):
            holds.append("missing_data")
        if ratio:
            holds.append("sample_ratio")
        for bet in bets:
            if bet.mode == "required" and bet.slice == "overall":
                # A tail waits for the turns it is held against.
                waits = bet.trigger.tail and report["thresholds"] == "none"
                if not bet.measured and not waits:
                    holds.append(f"no_data:{bet.trigger.name}")
                elif not bet.done(step["detectable"]):
                    holds.append(f"not_ruled_out:{bet.trigger.name}")
        if self.predicate["steps"][-1]["index"] == len(self.document["steps"]):
            holds += self._slices_to_wait_for(step, bets)
        if report["step"]["elapsed_s"] < duration_s(step["min_duration"]):
            holds.append("min_duration")
        return holds

    def _slices_to_wait_for(self, step: Json, bets: list[Judged]) -> Iterator[str]:
        """Yield what the last step waits for in slices that are required."""
        for column in self.document.get("slices") or []:
            if isinstance(column, str) or column.get("mode", "watch") != "required":
                continue
            name = column["column"]
            inside = [bet for bet in bets if bet.slice.startswith(f"{name}=")]
            if not inside:
                yield f"no_data:{name}"
            for bet in inside:
                if bet.mode == "required" and not bet.done(
                    column.get("detectable") or step["detectable"]
                ):
                    yield f"not_ruled_out:{bet.trigger.name}:{bet.slice}"

    def _verdict(self, harms: set[str], holds: list[str]) -> None:
        """Hold verdict and reason codes against what came of the histogram."""
        report = self.report
        codes = report["reason_codes"]
        # What telemetry looked like, and an earlier rollback, leave nothing in a histogram.
        seen = ("control_changed", "canary_changed", "unit_change", "constant", "stale")
        unfit = [code for code in codes if code.partition(":")[0] in seen]
        remembers = self.predicate["state"] is not None or self.document.get("model") is not None
        verdict = "advance" if self.shares and not holds else "hold"
        if harms or ("final" in codes and remembers):
            verdict = "roll_back"
        elif unfit:
            verdict = "hold"
        self._equal("the verdict", report["verdict"], verdict)
        if verdict == "roll_back":
            earlier = set(codes) - harms
            if not harms <= set(codes) or ("final" not in codes and earlier):
                self._problem("the reasons", ", ".join(codes), ", ".join(sorted(harms)))
            if not harms:
                self.believed.append("an earlier rollback of this canary is final")
            elif harms <= set(self.times):
                self.believed += [self.times[code] for code in sorted(harms)]
        else:
            ours = [*unfit, *(holds if self.shares else ["no_data"])]
            if sorted(codes) != sorted(ours):
                self._problem("the reasons", ", ".join(codes), ", ".join(ours))
            self._believe(verdict, codes, unfit)
        empty = any(code.partition(":")[0] == "no_data" for code in codes)
        words = {
            "advance": "pass",
            "roll_back": "fail",
            "hold": "no_data" if empty else "inconclusive",
        }
        self._equal("the gate's verdict", report["gate_verdict"], words[verdict])

    def _believe(self, verdict: str, codes: list[str], unfit: list[str]) -> None:
        """Say what a verdict rests on that the histogram does not show."""
        report, advances = self.report, verdict == "advance"
        if advances or "min_duration" in codes:
            self.believed.append(f"the step has lasted {report['step']['elapsed_s']:.0f} s")
        if advances or "missing_data" in codes:
            used, missing = report["lost"]["used"], report["missing"]
            self.believed.append(f"{used} turns were used and {missing:.4%} of all are missing")
        if advances:
            self.believed.append("no arm changed its release, and no time its unit")
            self.believed += self.times.values()
        self.believed += unfit

    def _outlook(self, step: Json | None, bets: list[Judged]) -> None:
        """Recompute the step, the next one, and what could still hide in slices."""
        report, steps, planned = self.report, self.predicate["steps"], self.document["steps"]
        last = steps[-1] if steps else None
        if last is None:
            self._equal("the step", report["step"], None)
        else:
            for key in ("index", "share", "since"):
                self._equal(f"the step's {key}", report["step"][key], last[key])
            most = (moment(self.predicate["created"]) - moment(last["since"])).total_seconds()
            if not 0 <= report["step"]["elapsed_s"] <= most:
                self.problems.append("the step has lasted longer than there was time")
        after = last["index"] if last else 0
        ahead = None
        if after < len(planned):
            ahead = {"index": after + 1, "share": fraction(planned[after]["share"])}
        self._equal("the next step", report["next_step"], ahead)
        hidden = {
            (bet.slice, bet.trigger.name): bet.smallest
            for bet in bets
            if step is not None
            and bet.slice != "overall"
            and bet.mode != "advisory"
            and not bet.below
            and (bet.smallest is None or bet.smallest > bet.trigger.needed(step["detectable"]))
        }
        blind = {(one["slice"], one["trigger"]): one["could_hide"] for one in report["blind"]}
        if blind != hidden or len(blind) != len(report["blind"]):
            self.problems.append("the harms that slices could hide are not those recorded")


def duration_s(text: str) -> float:
    """Return seconds from ``90s``, ``30m``, ``24h`` or ``7d``."""
    return float(text[:-1]) * SECONDS[text[-1]]


def agrees(theirs: Any, ours: Any, relative: float = RELATIVE) -> bool:  # noqa: ANN401 - any JSON
    """Return whether values are the same; numbers that are no counts to 1e-9."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(agrees(theirs.get(k), v) for k, v in ours.items())
    if isinstance(ours, float) and type(theirs) in (int, float):
        return math.isclose(theirs, ours, rel_tol=relative, abs_tol=1e-300)
    return bool(theirs == ours)


# -- bytes to a statement ----------------------------------------------------------------------


def strict(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON that means one thing only, and can be written again; raises Refused."""

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        if len(dict(pairs)) != len(pairs):
            raise Refused("a key stands twice")
        return dict(pairs)

    def constant(name: str) -> float:
        raise Refused(f"{name} is no number")

    def finite(name: str) -> float:
        return float(name) if math.isfinite(float(name)) else constant("a number out of range")

    try:
        document = json.loads(
            text.decode(), object_pairs_hook=unique, parse_constant=constant, parse_float=finite
        )
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused("it is not JSON, or nested too deeply") from error
    depth, level = 0, [document]
    while level := [value for item in level for value in inside(item)]:
        depth += 1
    if depth > MAX_DEPTH:
        raise Refused("it is nested too deeply")
    return document


def inside(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any JSON
    """Return what an object or a list holds."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def unpack(data: bytes, keys: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Return (payload, ids of the keys that signed it); raises Refused."""
    if len(data) > MAX_BYTES:
        raise Refused("it is too large")
    envelope = strict(data)
    if not isinstance(envelope, dict) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise Refused("it is no DSSE envelope")
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Refused("its payload type is unknown")
    payload = from_base64(envelope["payload"])
    kind = PAYLOAD_TYPE.encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signers: list[str] = []
    for hint, value in signatures_of(envelope["signatures"]):
        makers = [name for name, key in keys.items() if is_signed(key, value, message)]
        if not makers and hint in keys:
            raise Refused("a signature is not good: the file was changed")
        signers += makers
    if len(set(signers)) != len(signers):
        raise Refused("a key has signed it twice")
    if not signers:
        raise Refused("none of the given keys has signed it")
    return payload, signers


def signatures_of(signatures: Any) -> list[tuple[str | None, bytes]]:  # noqa: ANN401 - any JSON
    """Return (key id, signature) of each; a key id is a hint, others' further keys are theirs."""
    if not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES:
        raise Refused("its signatures are no list, or too many")
    made = []
    for signature in signatures:
        if not isinstance(signature, dict) or "sig" not in signature:
            raise Refused("a signature is none")
        if not isinstance(signature.get("keyid"), str | None):
            raise Refused("a key id is no text")
        made.append((signature.get("keyid"), from_base64(signature["sig"])))
    if len({value for _, value in made}) != len(made):
        raise Refused("a signature stands twice")
    return made


def is_signed(key: Any, signature: bytes, message: bytes) -> bool:  # noqa: ANN401 - a key
    """Return whether a key has made a signature."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - said below if missing

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def from_base64(text: str) -> bytes:
    """Return bytes from base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused("it holds what is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Refused("its base64 is not in its one spelling")
    return data


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return RFC 8785 JSON."""
    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in ordered) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        raise Refused("a whole number is too large for JSON")
    return json.dumps(value, ensure_ascii=False)


def doubles(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON in which large whole numbers are the doubles whose canonical form they are."""
    if isinstance(value, dict):
        return {key: doubles(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [doubles(inner) for inner in value]
    if type(value) is int and 2**53 <= abs(value) < 10**21 and number(float(value)) == str(value):
        return float(value)
    return value


def number(value: float) -> str:
    """Return a number as ECMAScript writes it."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, places = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(text) <= places <= 21:
        text += "0" * (places - len(text))
    elif 0 < places <= 21:
        text = f"{text[:places]}.{text[places:]}"
    elif -6 < places <= 0:
        text = "0." + "0" * -places + text
    else:
        power = f"e{'+' if places > 0 else '-'}{abs(places - 1)}"
        text = text[0] + (f".{text[1:]}" if len(text) > 1 else "") + power
    return f"-{text}" if sign else text


def digest(document: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the digest of a document in canonical form."""
    return "sha256:" + hashlib.sha256(canonical(document).encode()).hexdigest()


def moment(text: str) -> datetime:
    """Return a UTC time."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def statement_problems(statement: Json, payload: bytes, expected: Json) -> Iterator[str]:
    """Yield what is wrong with a decision apart from its numbers."""
    predicate = statement["predicate"]
    subjects = {"sha256:" + subject["digest"]["sha256"] for subject in statement["subject"]}
    judged = [
        (
            part["name"] or "candidate",
            part["candidate"]["artifact"] or part["candidate"]["candidate"],
        )
        for part in predicate["parts"]
    ]
    if canonical(statement).encode() != payload:
        yield "it is not written in the one canonical form"
    if [(s["name"], "sha256:" + s["digest"]["sha256"]) for s in statement["subject"]] != judged:
        yield "the subject is not the candidate that was judged"
    promotes = (
        predicate["verdict"] == "pass"
        and predicate["policy"]["enforcement"] == "enforce"
        and bool(judged)
        and all(part["candidate"]["artifact"] is not None for part in predicate["parts"])
    )
    if predicate["promotable"] is not promotes or (predicate["not_promotable"] == []) != promotes:
        yield '"promotable" contradicts the decision'
    if moment(predicate["created"]) > expected["now"] + timedelta(seconds=SKEW_S):
        yield f"it was issued in the future, at {predicate['created']}"
    if moment(predicate["expires"]) <= expected["now"]:
        yield f"it expired at {predicate['expires']}"
    if expected["serial"] is not None and predicate["serial"] < expected["serial"]:
        yield f"it is decision {predicate['serial']}, older than {expected['serial']}: replayed"
    if expected["artifact"] is not None and expected["artifact"] not in subjects:
        yield "it is about another artifact"
    if expected["policy"] not in (None, predicate["policy"]["digest"]):
        yield "it was decided by another policy"


def canary_problems(statement: Json, payload: bytes, expected: Json) -> Iterator[str]:
    """Yield what is wrong with a canary's decision apart from its numbers."""
    predicate = statement["predicate"]
    about = predicate["subject"]
    name = about["canary"] or "canary"
    # A release that only has a name is named with the policy that says which traffic it is.
    called = {"policy": predicate["policy"]["digest"], "release": name}
    artifact = about.get("artifact") or digest(called)
    if canonical(statement).encode() != payload:
        yield "it is not written in the one canonical form"
    if [(s["name"], "sha256:" + s["digest"]["sha256"]) for s in statement["subject"]] != [
        (name, artifact)
    ]:
        yield "the subject is not the canary that was judged"
    if moment(predicate["created"]) > expected["now"] + timedelta(seconds=SKEW_S):
        yield f"it was issued in the future, at {predicate['created']}"
    if expected["serial"] is not None:
        yield "a canary decision has no serial: its state and its time say which look it is"
    if expected["artifact"] not in (None, artifact):
        yield "it is about another artifact"
    if expected["policy"] not in (None, predicate["policy"]["digest"]):
        yield "it was decided by another policy"


def load_keys(paths: Iterable[str]) -> dict[str, Any]:
    """Return public keys by id: the SHA-256 of their DER."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - said if missing
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    keys = {}
    for path in paths:
        key = serialization.load_pem_public_key(Path(path).read_bytes())
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise ValueError("a key is not Ed25519")  # noqa: TRY004 - of the file, not of a type
        der = key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        keys[hashlib.sha256(der).hexdigest()] = key
    return keys


MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)


def audit(
    data: bytes, keys: dict[str, Any], expected: Json
) -> tuple[list[str], Audit | CanaryAudit | None]:
    """Return (problems, what came of the checks); None where nothing could be believed."""
    try:
        payload, _ = unpack(data, keys)
        statement = strict(payload)
        kind = statement["predicateType"]
        if kind not in (PREDICATE, CANARY):
            raise Refused("it is no decision")  # noqa: TRY301 - one place says what is wrong
        subjects = [
            {"name": str(subject["name"]), "digest": {"sha256": subject["digest"]["sha256"]}}
            for subject in statement["subject"]
        ]
        if statement != {
            "_type": STATEMENT,
            "subject": subjects,
            "predicateType": kind,
            "predicate": statement["predicate"],
        }:
            raise Refused("it is no in-toto statement")  # noqa: TRY301 - as above
        checked: Audit | CanaryAudit
        if kind == CANARY:
            # Evidence may be a whole number beyond those that are counts.
            statement["predicate"] = doubles(statement["predicate"])
            problems = list(canary_problems(statement, payload, expected))
            checked = CanaryAudit(statement["predicate"])
        else:
            problems = list(statement_problems(statement, payload, expected))
            checked = Audit(statement["predicate"])
    except Refused as error:
        return [str(error)], None
    except MALFORMED as error:
        return [f"it is malformed ({type(error).__name__})"], None
    return problems + checked.problems, checked


def safe(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def report(problems: list[str], checked: Audit | CanaryAudit | None) -> str:
    """Return the table of checks, and every problem below it."""
    head = ("rule", "slice", "recorded", "recomputed", "", "")
    rows = [head, *(checked.lines if checked else [])]
    wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
    table = ["  ".join(safe(c).ljust(w) for c, w in zip(row, wide, strict=True)) for row in rows]
    lines = [line.rstrip() for line in table] if checked else []
    lines += [f"problem: {safe(problem)}" for problem in problems]
    if checked:
        lines += [f"believed: {safe(problem)}" for problem in checked.believed]
        lines += ["shadow: it can never promote"] if checked.shadow else []
        lines.append(f"verdict: {checked.verdict}")
    return "\n".join([*lines, "NOT VALID" if problems else "valid"]) + "\n"


def main(arguments: list[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Verify a signed relkit decision.")
    parser.add_argument("file")
    parser.add_argument("--key", action="append", required=True, metavar="PUB")
    parser.add_argument("--min-serial", type=int, metavar="N")
    parser.add_argument("--artifact", metavar="D")
    parser.add_argument("--policy-digest", metavar="D")
    parser.add_argument("--strict", action="store_true", help="refuse what has to be believed")
    parser.add_argument("--at", metavar="TIME", help="as of this UTC time instead of now")
    options = parser.parse_args(arguments)
    try:
        keys = load_keys(options.key)
        data = Path(options.file).read_bytes()
        now = datetime.now(UTC) if options.at is None else moment(options.at)
    except ImportError:
        sys.stderr.write("signatures need the package cryptography: pip install cryptography\n")
        return 2
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{type(error).__name__}: a key or the file cannot be read\n")
        return 2
    expected = {
        "now": now,
        "serial": options.min_serial,
        "artifact": options.artifact,
        "policy": options.policy_digest,
    }
    problems, checked = audit(data, keys, expected)
    if options.strict and checked is not None:
        problems += [f"{claim}: has to be believed" for claim in checked.believed]
    sys.stdout.write(report(problems, checked))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
