"""How often canary decisions are right: simulated traffic through the bets that decide.

    python -m benchmarks.canary_quality [--runs N] [--only TABLE …]

The traffic is that of :mod:`benchmarks.canary_quality.worlds`: sessions of about four turns, six
metrics, overall and in 20 slices, so 126 triggers. A canary is watched at 100 looks and rolled back
when the evidence of the policy reaches 20. *Earlier* is an interval instead: the always-valid one
of the difference of the two rates with alpha / 126 and at least 50 (or 5) events in each arm,
clustered by session, steps pooled. Seeds are fixed. ``--runs`` is how many equal canaries a line
has; there are a third as many harmed ones.
"""

import argparse
import time
from collections.abc import Callable, Iterator

from benchmarks.canary_quality.rollouts import ROLLOUT_HEAD, rollout_rows
from benchmarks.canary_quality.single import (
    AMOUNT_HEAD,
    ORACLE_HEAD,
    RATIO_HEAD,
    RULED_HEAD,
    amount_rows,
    oracle_rows,
    ratio_rows,
    ruled_rows,
)
from benchmarks.canary_quality.watches import EQUAL_HEAD, FOUND_HEAD, equal_rows, found_rows

Rows = Callable[[int, int], Iterator[str]]

TABLES: dict[str, tuple[str, str, Rows]] = {
    "equal": (
        "Equal canaries rolled back, 126 triggers, 100 looks, {0} runs, %",
        EQUAL_HEAD,
        lambda runs, _: equal_rows(runs),
    ),
    "found": (
        "Harmed canaries: median turns until they are rolled back, {1} runs",
        FOUND_HEAD,
        lambda _, fewer: found_rows(fewer),
    ),
    "oracle": (
        "One trigger against the test that knows both rates, {0} runs",
        ORACLE_HEAD,
        lambda runs, _: oracle_rows(runs),
    ),
    "ruled": (
        "A harm that is there is ruled out at one of 100 looks, {0} runs, %",
        RULED_HEAD,
        lambda runs, _: ruled_rows(runs),
    ),
    "rollouts": (
        "Whole rollouts, steps 1-5-25-50 %, a look every half hour, {0} or {1} runs, %",
        ROLLOUT_HEAD,
        rollout_rows,
    ),
    "ratio": (
        "Sample ratio, 100 looks at 40,000 sessions, {0} runs: mismatches found, %",
        RATIO_HEAD,
        lambda runs, _: ratio_rows(runs),
    ),
    "amounts": (
        "Cost per success, the one trigger, even split, {1} runs",
        AMOUNT_HEAD,
        lambda _, fewer: amount_rows(fewer),
    ),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="how often canary decisions are right")
    parser.add_argument("--runs", type=int, default=400, help="equal canaries a line (400)")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE")
    options = parser.parse_args()
    fewer = max(1, options.runs // 3)
    for name in options.only:
        title, head, rows = TABLES[name]
        print(f"\n{title.format(options.runs, fewer)}\n{head}")
        for row in rows(options.runs, fewer):
            print(row, flush=True)
        print(f"[{time.process_time():.0f} s of CPU time]")


if __name__ == "__main__":
    main()
