"""How often promotion decisions are right: simulated runs through the engine that decides.

    python -m benchmarks.decision_quality [--quick | --whole N | --repeats N | --slices N]

Two systems answer the same utterances of 4 to 14 words. Speakers' error rates are beta distributed
with a standard deviation of half their mean; utterances differ in difficulty for both systems
(gamma with shape 2), so that errors clump; a system has 30 % of its errors to itself. The policy is
the shipped ``gates/asr-promotion.yaml`` with its rules about word errors, runaways and failures, at
the margin that the plan proposes; its accents and noises are one family. Flips are the first 2,000
of a stream (decisions use 10,000; the third table holds the two against each other). Seeds are
fixed; the full run takes about twelve minutes of CPU time, the quick one about one, and ``--repeats
200`` a quarter of an hour.
"""

import argparse
import time
from collections.abc import Iterable, Iterator

from benchmarks.decision_quality.heavy import HEAVY_HEAD, heavy_rows
from benchmarks.decision_quality.latencies import percentile_rows
from benchmarks.decision_quality.limits import LIMIT_HEAD, limit_rows
from benchmarks.decision_quality.methods import (
    ENDS,
    METHODS,
    SHARES,
    end_rows,
    method_rows,
    share_rows,
)
from benchmarks.decision_quality.power import (
    CLAIM_HEAD,
    MARGIN_HEAD,
    SLICE_HEAD,
    SPEAKERS,
    claim_rows,
    margin_rows,
    slice_rows,
)
from benchmarks.decision_quality.prompts import (
    COVERAGE_HEAD,
    READ_HEAD,
    coverage_rows,
    prompt_rows,
)
from benchmarks.decision_quality.repeats import ASKED_HEAD, RARE_HEAD, asked_rows, rare_rows
from benchmarks.decision_quality.slices import (
    DOUBLED_HEAD,
    SLICED_HEAD,
    doubled_slice_rows,
    slice_rule_rows,
)
from benchmarks.decision_quality.whole import (
    CHANGED_HEAD,
    EQUAL_HEAD,
    OPEN_HEAD,
    REPLAY_HEAD,
    SAME_HEAD,
    changed_rows,
    equal_rows,
    replay_rows,
    same_rows,
)

Table = tuple[str, str, Iterable[str]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="how often promotion decisions are right")
    parser.add_argument("--quick", action="store_true", help="fewer gates")
    parser.add_argument("--whole", type=int, metavar="GATES", help="only whole policies, so many")
    parser.add_argument("--repeats", type=int, metavar="GATES", help="only repeats, so many")
    parser.add_argument("--slices", type=int, metavar="GATES", help="only rules of slices, so many")
    options = parser.parse_args()
    many = options.whole
    tables = _tables(quick=options.quick) if many is None else _whole(many, many, many, many)
    if options.repeats is not None:
        tables = _repeats(options.repeats)
    if options.slices is not None:
        tables = _slices(options.slices)
    for title, head, rows in tables:
        print(f"\n{title}\n{head}")
        for row in rows:
            print(row, flush=True)
        print(f"[{time.process_time():.0f} s of CPU time]")


def _whole(most: int, gates: int, changed: int, few: int) -> Iterator[Table]:
    open_: list[str] = []
    yield (
        "Whole policies, equal systems, 50 slices of 10 speakers x 20 utterances, %",
        EQUAL_HEAD,
        equal_rows(most, gates, open_),
    )
    yield "The same gates: rules undecided where none failed, %", OPEN_HEAD, open_
    yield (
        "Whole policies, one slice doubled; all worse by exactly the margin, %",
        CHANGED_HEAD,
        changed_rows(changed, few),
    )


def _repeats(gates: int) -> Iterator[Table]:
    yield (
        "Asked again: equal systems | all worse by exactly the margin | one slice doubled, %",
        ASKED_HEAD,
        asked_rows(gates),
    )
    yield (
        "Asked again: a candidate that gives no answer to 12 %, at a margin of 12 points, %",
        RARE_HEAD,
        rare_rows(10 * gates),
    )


def _slices(gates: int) -> Iterator[Table]:
    yield (
        "Rules of slices: equal systems | all worse by exactly the margin, %",
        SLICED_HEAD,
        slice_rule_rows(gates),
    )
    yield (
        "What is said of a slice that is doubled by all of its speakers | by a fifth of them, %",
        DOUBLED_HEAD,
        doubled_slice_rows(gates),
    )


def _tables(*, quick: bool) -> Iterator[Table]:
    most, gates, changed, few = (20, 5, 6, 3) if quick else (800, 200, 240, 80)
    singles, slices, claims = (40, 5, 10) if quick else (300, 30, 200)
    draws = 100 if quick else 600
    same, runs, methods = (3, 2, 6) if quick else (20, 12, 50)
    yield from _whole(most, gates, changed, few)
    yield "2,000 flips or 10,000, 59 results a gate, %", SAME_HEAD, same_rows(same)
    yield (
        "A/A certificates: false-block rate they state, %",
        REPLAY_HEAD,
        replay_rows(runs),
    )
    yield (
        f"A limit: passes at it | at half of it, by its test / by the interval, {draws} draws, %",
        LIMIT_HEAD,
        limit_rows(draws),
    )
    yield (
        f"Non-inferiority at 1 point, WER 8 %, 20 utterances a speaker, {singles} gates, %",
        MARGIN_HEAD,
        margin_rows(singles),
    )
    yield (
        "A few speakers who say most, non-inferiority at 3 points, %",
        HEAVY_HEAD,
        heavy_rows(2 * singles),
    )
    yield (
        "No regression over 50 accents, one family with 4 noises: the accent that got worse, %",
        SLICE_HEAD,
        slice_rows(slices, SPEAKERS[:3] if quick else SPEAKERS),
    )
    yield (
        f"What equal systems exclude, and a slice that is doubled, {claims} runs, %",
        CLAIM_HEAD,
        claim_rows(claims),
    )
    yield (
        f"Methods for families, {methods} gates: smallest ratio found / false blocks, %",
        f"{'':26}" + "".join(f"{name:>12}" for name in METHODS),
        method_rows(methods),
    )
    yield (
        f"Two rules, {methods} gates: undecided accents / gates with one / false blocks, %",
        f"{'':26}" + "".join(f"{name:>21}" for name in SHARES),
        share_rows(methods),
    )
    yield (
        f"Methods for a margin of 1 point, {singles} gates: equal / at the margin pass, %",
        f"{'':26}" + "".join(f"{name:>14}" for name in ENDS),
        end_rows(singles),
    )
    yield (
        f"Differences of percentiles, {singles} runs: coverage, and has both ends, %",
        f"{'speakers':>18}" + "".join(f"{one:>10}{'both':>10}" for one in ("p50", "p95", "p99")),
        percentile_rows(singles),
    )
    yield (
        "Texts that all read: equal systems, all worse by exactly the margin, one slice doubled, %",
        READ_HEAD,
        prompt_rows(4 if quick else 400),
    )
    yield (
        "The same worlds: coverage of the whole, %",
        COVERAGE_HEAD,
        coverage_rows(20 if quick else 1000),
    )
    if quick:
        yield from _repeats(1)
        yield from _slices(1)
