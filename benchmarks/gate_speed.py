"""``relkit gate`` as a whole process on two runs of 100,000 utterances and 500 slices.

    python -m benchmarks.gate_speed [--rows 100000] [--speakers 400] [--slices 500]

The policy holds a margin overall, a family of all slices (10,000 joint sign flips) and two bounds;
the decision with its evidence is written. The peer is what one writes first: pandas merges the two
tables by id, and a loop over slices jackknifes the difference with scipy's t; no family, no
evidence, no file. Each is a process of its own, imports included; the peer's differences are
checked to be those of the decision before a time is printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.processes import in_turn
from relkit.adapters.duckdb.results import DuckDBSlices
from relkit.adapters.results import ParquetResults
from relkit.adapters.runs import RunFolders
from relkit.core.digests import sha256_bytes
from relkit.core.values import Named, SystemId
from relkit.datasets.types import DatasetVersion
from relkit.evaluation.conclude import slice_results
from relkit.evaluation.suites import parse_suite, suite_digest
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways, RunHeader, SliceResult
from relkit.scoring.words import SCORER

RUNS = 3
METRICS = ("wer_capped", "runaway_rate", "failure_rate")
SUITE = """\
schema: relkit.suite/v1
name: large
dataset: {name: large}
normalizer: none
metrics: [wer_capped, runaway_rate, failure_rate]
slices: [group]
system: {kind: recorded, path: answers.jsonl}
"""
POLICY = """\
schema: relkit.gate/v1
name: large
enforcement: shadow
rules:
  - {id: whole, metric: wer_capped, test: non_inferiority, margin: 0.01}
  - {id: slices, metric: wer_capped, slice: "group=*", test: no_regression, detectable: 3.0}
  - {id: runaways, metric: runaway_rate, test: bound, max: 0.05}
  - {id: failures, metric: failure_rate, test: bound, max: 0.05}
"""
PEER = """
import json, sys
import pandas as pd
from scipy import stats
columns = ["id", "cluster", "group", "hits", "substitutions", "deletions", "capped_errors"]
candidate, baseline = (pd.read_parquet(path, columns=columns) for path in sys.argv[1:3])
both = candidate.merge(baseline[["id", "capped_errors"]], on="id", suffixes=("", "_baseline"))
both["words"] = both["hits"] + both["substitutions"] + both["deletions"]
both["difference"] = both["capped_errors"] - both["capped_errors_baseline"]
found = {}
for name, rows in [("overall", both), *both.groupby("group")]:
    sums = rows.groupby("cluster")[["difference", "words"]].sum()
    errors, words = sums["difference"].sum(), sums["words"].sum()
    left = (errors - sums["difference"]) / (words - sums["words"])
    count = len(left)
    se = ((count - 1) / count * ((left - left.mean()) ** 2).sum()) ** 0.5
    half = stats.t.ppf(0.975, count - 1) * se
    found[name] = [errors / words, errors / words - half, errors / words + half]
print(json.dumps(found))
"""


def write_rows(path: Path, rows: int, speakers: int, slices: int, seed: int) -> None:
    """Write random results: the same utterances for every seed, other errors."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    same, random = np.random.default_rng(7), np.random.default_rng(seed)
    speaker = same.integers(0, speakers, rows)
    words = same.integers(3, 15, rows)
    group = same.integers(0, slices, rows)
    own = same.beta(4.0, 36.0, speakers)[speaker]
    shared = same.binomial(words, own)
    substitutions = np.minimum(words, random.binomial(shared, 0.8) + random.binomial(words, 0.01))
    counts = (words - substitutions, substitutions, 0 * words, 0 * words)
    names = ("hits", "substitutions", "deletions", "insertions")
    zeros, nothing = np.zeros(rows, dtype=np.int64), pa.nulls(rows, pa.string())
    table = {
        "id": pa.array([f"utterance-{i:07}" for i in range(rows)]),
        "repeat": zeros,
        "group": pa.array([f"g{v:03}" for v in group]),
        "cluster": pa.array([f"speaker-{v:04}" for v in speaker]),
        **dict(zip(names, counts, strict=True)),
        **{f"raw_{name}": column for name, column in zip(names, counts, strict=True)},
        **{f"char_{name}": 5 * column for name, column in zip(names, counts, strict=True)},
        "capped_errors": substitutions,
        **dict.fromkeys(("entities", "entity_errors", "keywords", "keyword_errors"), zeros),
        "runaway": np.zeros(rows, dtype=bool),
        "loop": np.zeros(rows, dtype=bool),
        "failure": nothing,
        "unusable": nothing,
        "latency_ms": np.exp(random.normal(5.5, 0.5, rows)),
        "first_byte_ms": np.exp(random.normal(4.5, 0.5, rows)),
        "duration": words / 2.5,
        "attempts": zeros + 1,
        "cached": np.zeros(rows, dtype=bool),
        "load": pa.array(["load"] * rows),
    }
    pq.write_table(pa.table(table), path, compression="zstd")


def write_run(workspace: Path, seed: int, arguments: argparse.Namespace) -> str:
    """Write a finished run with these results, and return its id."""
    from relkit.adapters.workspace import SystemClock

    runs = RunFolders(workspace / ".relkit" / "runs", ParquetResults())
    now = SystemClock().now()
    suite = parse_suite(SUITE, source="large.yaml")
    digest = sha256_bytes(f"system {seed}".encode())
    header = RunHeader(
        run=runs.new_id(now),
        created=now,
        suite_digest=suite_digest(suite),
        suite=suite,
        dataset=DatasetVersion(
            name="large",
            revision=None,
            dirty=None,
            digest=sha256_bytes(b"large"),
            utterances=arguments.rows,
        ),
        candidate=SystemId(digest=digest, artifact=digest),
        normalizer=Named(name="none", digest=sha256_bytes(b"none")),
        repeats=1,
        load={},
        load_digest=sha256_bytes(b"load"),
    )
    with runs.create(header) as run:
        run.write_results([], [])
        write_rows(
            run.path / "results.parquet",
            arguments.rows,
            arguments.speakers,
            arguments.slices,
            seed,
        )
        with DuckDBSlices(run.path / "results.parquet") as own:
            slices = slice_results(own, METRICS, ("overall", "group"), repeats=1)
        run.finish(_report(header, slices, arguments.rows), now)
    return header.run


def _report(header: RunHeader, slices: tuple[SliceResult, ...], rows: int) -> EvalReport:
    return EvalReport(
        run=header.run,
        suite=Named(name=header.suite.name, digest=header.suite_digest),
        candidate=header.candidate,
        dataset=header.dataset,
        normalizer=header.normalizer,
        scorer=SCORER,
        tool_version="0",
        created=header.created,
        expected=rows,
        scored=rows,
        failures=0,
        unusable=0,
        repeats=1,
        load=header.load_digest,
        slices=slices,
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
        cluster="speaker",
    )


def check(document: dict[str, object], peer: dict[str, list[float]]) -> int:
    """Refuse to time two sides that disagree; return how many differences were held together."""
    checks = document["checks"]
    if not isinstance(checks, list):
        raise TypeError("a decision without checks")
    held = 0
    for item in checks:
        if item["quantity"] != "worsening":
            continue
        theirs = peer[str(item["slice"]).removeprefix("group=")][0]
        if abs(item["observed"] - theirs) > 1e-9:
            raise ValueError(f"{item['slice']}: {item['observed']} and {theirs}")
        held += 1
    return held


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--speakers", type=int, default=400)
    parser.add_argument("--slices", type=int, default=500)
    arguments = parser.parse_args()
    relkit = Path(sys.executable).with_name("relkit")
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Path(temporary)
        (workspace / "relkit.yaml").write_text("name: large\n", encoding="utf-8")
        (workspace / "gates").mkdir()
        (workspace / "gates" / "large.yaml").write_text(POLICY, encoding="utf-8")
        baseline, candidate = (write_run(workspace, seed, arguments) for seed in (1, 2))
        script = workspace / "peer.py"
        script.write_text(PEER, encoding="utf-8")
        paths = [
            str(workspace / ".relkit" / "runs" / run / "results.parquet")
            for run in (candidate, baseline)
        ]
        gate = (
            str(relkit), "gate", "large", "--candidate", candidate, "--baseline", baseline,
            "--workspace", str(workspace), "--json",
        )  # fmt: skip
        shown = subprocess.run(gate, capture_output=True, check=True, text=True)
        other = subprocess.run(
            (sys.executable, str(script), *paths), capture_output=True, check=True, text=True
        )
        document = json.loads(shown.stdout)
        held = check(document, json.loads(other.stdout))
        print(
            f"{arguments.rows:,} utterances, {arguments.speakers} speakers, {arguments.slices} "
            f"slices: {document['verdict']}, {held} differences alike"
        )
        own, theirs = in_turn((gate, (sys.executable, script, *paths)), RUNS)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  relkit gate, decision written   {own:.2f} s   {own / theirs:.2f} x the peer")
    print(f"  pandas + scipy, differences     {theirs:.2f} s")
    print(f"  most memory of a process        {peak:.0f} MiB")


if __name__ == "__main__":
    main()
