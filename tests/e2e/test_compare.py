"""``relkit compare`` from end to end: real runs of a workspace, through the command line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relkit import api
from relkit.adapters.workspace import scaffold_source, write_scaffold
from tests.conftest import Said, Workspace

Answer = Callable[[dict[str, Any]], dict[str, Any]]

SECRET = "zanzibar"  # noqa: S105 - a word that only a transcript holds


def right(row: dict[str, Any]) -> dict[str, Any]:
    """Answer what was said."""
    return {"text": row["text"], "latency_ms": 100.0}


def every_fourth_wrong(row: dict[str, Any]) -> dict[str, Any]:
    """Drop the first word of a quarter of the answers."""
    words = row["text"].split()
    dropped = sum(map(ord, row["id"])) % 4 == 0 and len(words) > 1
    return right(row) | {"text": " ".join(words[1:] if dropped else words)}


def worse_in_scotland(row: dict[str, Any]) -> dict[str, Any]:
    """Say one word that was never said to speakers of one accent, and better everywhere else."""
    if row.get("accent") != "scottish":
        return right(row)
    return right(row) | {"text": " ".join([*row["text"].split()[:-1], SECRET])}


def failing(row: dict[str, Any]) -> dict[str, Any]:
    """Fail on one kind of noise, and be right otherwise."""
    return {"error": "timeout"} if row.get("noise") == "babble" else right(row)


SUITE = """\
schema: relkit.suite/v1
name: {name}
dataset: {{name: assistant-commands{where}}}
normalizer: english
metrics: [wer, wer_capped, cer, rtf, latency_ms, failure_rate]
slices: [accent, noise, "accent&noise"]
system: {{kind: recorded, path: {path}}}
"""


@dataclass(frozen=True, slots=True)
class Runs:
    """A workspace with finished runs; all but ``subset`` are of one suite."""

    folder: Path
    right: str
    careless: str
    scottish: str
    failing: str
    again: str
    unnormalized: str
    subset: str


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run the whole bundled dataset with each set of answers."""
    folder = tmp_path_factory.mktemp("compare") / "workspace"
    write_scaffold(folder, scaffold_source())
    manifest = folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]

    def evaluated(answer: Answer, where: str = "") -> str:
        path = f"{answer.__name__}.jsonl"
        lines = [json.dumps({"id": row["id"], **answer(row)}) + "\n" for row in rows]
        (folder / path).write_text("".join(lines), encoding="utf-8")
        text = SUITE.format(name="recorded", where=where, path=path)
        (folder / "eval" / "suites" / "recorded.yaml").write_text(text, encoding="utf-8")
        return api.evaluate("recorded", workspace=folder).report.run

    careless = evaluated(every_fourth_wrong)
    return Runs(
        folder=folder,
        right=evaluated(right),
        careless=careless,
        scottish=evaluated(worse_in_scotland),
        failing=evaluated(failing),
        again=api.rescore(careless, workspace=folder).report.run,
        unnormalized=api.rescore(careless, workspace=folder, normalizer="none").report.run,
        subset=evaluated(right, ", where: {accent: [scottish]}"),
    )


@dataclass(frozen=True, slots=True)
class Compare:
    """``relkit compare`` in the workspace of the runs."""

    workspace: Workspace

    def __call__(self, *arguments: str) -> Said:
        """Compare as a user would."""
        return self.workspace.relkit("compare", *arguments)


@pytest.fixture
def compare(runs: Runs, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Give the command."""
    return Compare(Workspace(folder=runs.folder, capture=capsys))


def test_harm_to_one_accent_is_found_while_the_average_improves(
    runs: Runs, compare: Compare
) -> None:
    """The slice is first, its crossings are inside it, and nothing else is called worse."""
    before, after = runs.careless, runs.scottish
    said = compare(before, after, "--json")
    assert said.code == 0, said.err
    found = said.document
    assert found["slices"][0]["slice"] == "accent=scottish"
    assert found["slices"][0]["finding"] == "worse"
    assert found["slices"][0]["p_adjusted"] <= 0.05 < found["slices"][0]["p_better"]
    for item in found["slices"]:
        inside = item["slice"].startswith("accent=scottish")
        shared = item["slice"].startswith("noise=")
        assert item["finding"] != "worse" or inside or shared
        if item["finding"] == "worse" and shared:
            assert item["elsewhere"]["slice"] == "accent=scottish"
    assert found["attribution"]["slice"] == "accent=scottish"
    assert found["overall"]["worsening"] == pytest.approx(
        found["overall"]["candidate"] - found["overall"]["baseline"]
    )
    assert found["flipped"]["right_to_wrong"] > 40
    assert found["confusions"] is None
    assert (found["new_slices"], found["vanished_slices"]) == ([], [])
    assert found["pairing"]["whole"] is True


def test_numbers_are_those_of_the_reports(runs: Runs, compare: Compare) -> None:
    """Without failures, both sides of every slice are what the two runs reported."""
    before, after = runs.careless, runs.scottish
    reports = [
        compare.workspace.relkit("report", run, "--json").document for run in (before, after)
    ]
    old, new = (
        {item["slice"]: item["metrics"]["cer"]["value"] for item in report["slices"]}
        for report in reports
    )
    found = compare(before, after, "--metric", "cer", "--json").document
    assert found["metric"] == "cer"
    assert len(found["slices"]) == len(new) - 1
    for item in (found["overall"], *found["slices"]):
        assert item["candidate"] == pytest.approx(new[item["slice"]])
        assert item["baseline"] == pytest.approx(old[item["slice"]])


def test_words_of_transcripts_are_shown_only_where_asked_for(runs: Runs, compare: Compare) -> None:
    """A confusion is two words of transcripts: the summary and the document hold none without."""
    before, after = runs.right, runs.scottish
    for option in ("--json", "--quiet"):
        assert SECRET not in compare(before, after, option).out
        assert SECRET in compare(before, after, "--with-text", option).out
    found = compare(before, after, "--with-text", "--json").document
    assert sum(item["candidate"] for item in found["confusions"]) > 0
    assert all(item["baseline"] == 0 for item in found["confusions"])
    assert found["mapsswe"]["segments"] > 30
    assert found["mapsswe"]["p"] < 0.001


def test_a_baseline_that_failed_cannot_make_a_candidate_look_good(
    runs: Runs, compare: Compare
) -> None:
    """Its failures count as perfect and are listed; the candidate's count as they are."""
    unreliable, good = runs.failing, runs.right
    found = compare(unreliable, good, "--json").document
    assert found["overall"]["worsening"] == 0.0
    assert len(found["pairing"]["baseline_failures"]) > 20
    assert (found["flipped"]["right_to_wrong"], found["flipped"]["wrong_to_right"]) == (0, 0)
    assert any("count as perfect" in note for note in found["notes"])
    turned = compare(good, unreliable, "--json").document
    assert turned["overall"]["finding"] == "worse"
    assert turned["attribution"]["slice"] == "noise=babble"


def test_times_of_different_loads_are_never_compared(runs: Runs, compare: Compare) -> None:
    """Two files of answers were made under nobody knows which load: the reason is printed."""
    before, after = runs.right, runs.scottish
    said = compare(before, after)
    assert "latency and RTF are not compared: the two runs were measured under" in said.out
    assert "under the same load" not in said.out
    asked = compare(before, after, "--metric", "latency_ms.p95")
    assert (asked.code, asked.out) == (2, "")


def test_times_of_the_same_load_are_compared(runs: Runs, compare: Compare) -> None:
    """A rescored run has the load of its source, and so the same times."""
    before, again = runs.careless, runs.again
    found = compare(before, again, "--json").document
    assert found["timings"]["latency_ms.p95"]["worsening"] == 0.0
    assert set(found["timings"]) >= {"rtf", "latency_ms.mean", "latency_ms.p50"}
    slow = compare(before, again, "--metric", "latency_ms.p95", "--json")
    assert slow.document["overall"]["candidate"] == 100.0
    assert all(item["p_adjusted"] is None for item in slow.document["slices"])
    assert found["overall"]["finding"] != "worse"
    assert found["attribution"] is None


def test_runs_that_do_not_measure_the_same_are_refused(runs: Runs, compare: Compare) -> None:
    """The same run, another suite or normalizer, an unknown metric: exit 2 and nothing else."""
    before, after = runs.right, runs.scottish
    for arguments, words in (
        ((before, before), "the same run"),
        ((before, runs.unnormalized), "have another"),
        ((before, runs.subset), "have another"),
        ((before, "nope"), "names no run"),
        ((before, after, "--metric", "were"), 'no metric "were"'),
        ((before, after, "--metric", "latency_ms"), 'no metric "latency_ms"'),
    ):
        said = compare(*arguments)
        assert (said.code, said.out) == (2, ""), arguments
        assert words in said.err


def test_results_that_were_changed_or_lost_are_refused(
    runs: Runs, compare: Compare, tmp_path: Path
) -> None:
    """The digest of the results is checked before a number is taken from them."""
    before, after = runs.right, runs.scottish
    copied = tmp_path / before
    shutil.copytree(runs.folder / ".relkit" / "runs" / before, copied)
    path = copied / "results.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    said = compare(str(copied), after, "--json")
    assert said.code == 2
    assert "was changed after the run" in said.document["error"]["message"]
    path.unlink()
    lost = compare(str(copied), after, "--json")
    assert lost.code == 2
    assert "has no results.parquet" in lost.document["error"]["message"]


def test_nothing_to_compare_is_no_data(runs: Runs, compare: Compare) -> None:
    """A metric that neither run has a unit of ends with 4, not with a zero."""
    before, after = runs.right, runs.scottish
    said = compare(before, after, "--metric", "keyword_error_rate", "--json")
    assert said.code == 4
    assert said.document["error"]["code"] == "no_data"


def test_the_same_runs_always_say_the_same(runs: Runs, compare: Compare) -> None:
    """Everything random is seeded by what was measured."""
    before, after = runs.careless, runs.scottish
    first, again = (compare(before, after, "--json").out for _ in range(2))
    assert first == again
