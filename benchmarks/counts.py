"""Counting word errors, side by side with jiwer and NIST's sclite.

    python -m benchmarks.counts [--utterances 100000]

Utterances of 8 to 16 words with 10 % errors, splitting included, everything pinned to one core
where the system allows it. The peers see a tenth of the utterances and their time is scaled up
(both are linear in the number of utterances). sclite takes part where Debian's ``sctk`` is
installed. E is checked to be the same as jiwer's before a time is printed.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jiwer
import numpy as np

from relkit.scoring.alignment import changes
from relkit.scoring.words import count_characters, count_text, count_texts

SHARE = 10
LONG_PAIRS = (1_000, 2_000, 5_000, 10_000, 20_000)
VOCABULARY = 2_000
SUBSTITUTED, DELETED, INSERTED = 0.05, 0.025, 0.025


def corrupted(words: list[str], chance: np.random.Generator) -> list[str]:
    """Return the words with 5 % substituted, 2.5 % deleted and 2.5 % inserted."""
    result: list[str] = []
    for word, dice in zip(words, chance.random(len(words)), strict=True):
        if dice < SUBSTITUTED:
            result.append(f"w{chance.integers(VOCABULARY)}")
        elif dice >= SUBSTITUTED + DELETED:
            result.append(word)
            if dice < SUBSTITUTED + DELETED + INSERTED:
                result.append(f"w{chance.integers(VOCABULARY)}")
    return result


def pairs(utterances: int, chance: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return references and hypotheses."""
    references, hypotheses = [], []
    for length in chance.integers(8, 17, utterances):
        words = [f"w{number}" for number in chance.integers(VOCABULARY, size=length)]
        references.append(" ".join(words))
        hypotheses.append(" ".join(corrupted(words, chance)))
    return references, hypotheses


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """Return the best wall time of some repeats, in s."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def jiwer_errors(references: list[str], hypotheses: list[str]) -> int:
    """Return E summed over single calls, as a per-utterance report needs them."""
    total = 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        counts = jiwer.process_words(reference, hypothesis)
        total += counts.substitutions + counts.deletions + counts.insertions
    return total


def sclite_seconds(references: list[str], hypotheses: list[str]) -> float | None:
    """Return the wall time of one sclite run over TRN files in s; None where it is missing."""
    sctk = shutil.which("sctk")
    if sctk is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in (("ref.trn", references), ("hyp.trn", hypotheses)):
            lines = (f"{text} (speaker-{i:06d})\n" for i, text in enumerate(texts))
            Path(folder, name).write_text("".join(lines))
        command = [sctk, "sclite", "-i", "rm", "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn"]
        command += ["-o", "sum", "stdout"]

        def run() -> None:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        return seconds(run, repeats=1)


def report_many(utterances: int, chance: np.random.Generator) -> None:
    """Time many short utterances and print the table."""
    references, hypotheses = pairs(utterances, chance)
    some = max(1, utterances // SHARE)
    few = references[:some], hypotheses[:some]
    if count_texts(*few).total().errors != jiwer_errors(*few):
        raise SystemExit("relkit and jiwer do not agree on E")
    bulk = seconds(lambda: count_texts(references, hypotheses))
    single = seconds(
        lambda: [count_text(r, h) for r, h in zip(references, hypotheses, strict=True)]
    )
    scale = utterances / some
    rows: list[tuple[str, float | None]] = [
        ("relkit, all at once", bulk),
        ("relkit, one by one", single),
        (f"jiwer (1/{SHARE} timed)", seconds(lambda: jiwer_errors(*few), repeats=3) * scale),
    ]
    sclite = sclite_seconds(*few)
    rows.append((f"sclite (1/{SHARE} timed)", None if sclite is None else sclite * scale))
    print(f"{utterances} utterances of 8 to 16 words, 10 % errors, one core")
    for name, value in rows:
        shown = "not installed" if value is None else f"{value:8.3f} s {value / bulk:8.1f} x"
        print(f"  {name:<24}{shown}")


def report_long(chance: np.random.Generator) -> None:
    """Time long pairs beside jiwer: words, characters, and the alignment that is shown."""
    print("one long pair, 10 % errors, one core; how often relkit counts while jiwer aligns once")
    print(f"  {'words':>8}  {'words':>24}  {'characters':>24}  {'alignment':>10}")
    for words in LONG_PAIRS:
        reference = [f"w{number}" for number in chance.integers(VOCABULARY, size=words)]
        hypothesis = corrupted(reference, chance)
        texts = [" ".join(reference)], [" ".join(hypothesis)]
        cells = [
            (seconds(partial(relkit, *texts), 3), seconds(partial(peer, *texts), 3))
            for relkit, peer in (
                (count_texts, jiwer.process_words),
                (count_characters, jiwer.process_characters),
            )
        ]
        counted = (f"{us:8.4f} s {them:8.4f} s {them / us:3.1f} x" for us, them in cells)
        shown = seconds(partial(changes, reference, hypothesis), 2)
        print(f"  {words:8}  {'  '.join(counted)}  {shown:8.4f} s")


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description="count word errors beside jiwer and sclite")
    parser.add_argument("--utterances", type=int, default=100_000)
    utterances = parser.parse_args().utterances
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chance = np.random.default_rng(20)
    report_many(utterances, chance)
    report_long(chance)


if __name__ == "__main__":
    main()
