"""``relkit dataset candidates`` on real runs: who is ranked, who is withheld, what never leaks."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workspace

PLANTED = "plantedtoken"
Row = dict[str, Any]


def manifest(workspace: Workspace, change: Callable[[Row], Row]) -> None:
    """Rewrite the bundled dataset's manifest."""
    path = workspace.folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.dumps(change(row)) for row in workspace.manifest()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def clips(workspace: Workspace) -> list[Row]:
    """Return the sixteen clips of the small suite, by id."""
    rows = [row for row in workspace.manifest() if row["voice"] in {"flite-slt", "flite-rms"}]
    return sorted(rows, key=lambda row: str(row["id"]))


def run(workspace: Workspace, answer: Callable[[Row], Row]) -> str:
    """Evaluate recorded answers and return the run's id."""
    said = workspace.relkit("eval", workspace.recorded(answer), "--json")
    assert said.code == 0, said.out
    return str(said.document["run"])


def right(row: Row) -> Row:
    """Answer as the reference says."""
    return {"text": row["text"]}


def ranked(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    """Return the review list as a document."""
    said = workspace.relkit("dataset", "candidates", *arguments, "--json")
    assert said.code == 0, said.out
    return said.document


def test_each_kind_of_trouble_comes_before_what_is_right(workspace: Workspace) -> None:
    """A suspicious label, a loop and a failure are on top, each by its signal."""
    label, loop, failed = (row["id"] for row in clips(workspace)[:3])
    told = {
        label: {"text": "nothing of what is written here"},
        loop: {"text": "again " * 60},
        failed: {"error": "timeout"},
    }
    first = run(workspace, lambda row: told.get(row["id"]) or right(row))
    document = ranked(workspace, first)
    top = {one["id"]: one for one in document["candidates"][:3]}
    assert set(top) == {label, loop, failed}
    assert top[label]["signals"]["label_error"] > 0.3
    assert top[loop]["signals"]["runaway"] == 1
    assert top[loop]["signals"]["label_error"] == 0
    assert top[failed]["signals"]["failure"] == 1
    assert top[label]["signals"]["disagreement"] is None
    assert document["considered"] == 16
    scores = [one["score"] for one in document["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert ranked(workspace, first) == document


def test_systems_that_agree_point_at_the_label_and_others_at_themselves(
    workspace: Workspace,
) -> None:
    """With two runs a shared other answer is a label error, different answers a disagreement."""
    label, apart = (row["id"] for row in clips(workspace)[:2])
    told = {label: {"text": "both systems hear this"}}
    first = run(workspace, lambda row: told.get(row["id"]) or right(row))
    told[apart] = {"text": "only one of them hears that"}
    second = run(workspace, lambda row: told.get(row["id"]) or right(row))
    by_id = {one["id"]: one for one in ranked(workspace, first, second)["candidates"]}
    assert by_id[label]["signals"]["label_error"] == pytest.approx(1)
    assert by_id[label]["signals"]["disagreement"] == 0
    assert by_id[apart]["signals"]["disagreement"] > 0.5
    assert by_id[apart]["signals"]["label_error"] == 0
    assert by_id[label]["score"] == max(one["score"] for one in by_id.values())


def test_a_slice_that_got_worse_is_named(workspace: Workspace) -> None:
    """Against a baseline the broken slice leads, and only its wrong utterances."""
    broken = min(str(row["noise"]) for row in clips(workspace))
    before = run(workspace, right)

    def answer(row: Row) -> Row:
        words = str(row["text"]).split()
        return {"text": " ".join(words[:-1]) if row["noise"] == broken else row["text"]}

    after = run(workspace, answer)
    document = ranked(workspace, after, "--baseline", before)
    wrong = {row["id"] for row in clips(workspace) if row["noise"] == broken}
    regressed = [one for one in document["candidates"] if one["signals"]["slice_regression"] > 0]
    assert {one["id"] for one in regressed} == wrong
    assert [one["id"] for one in document["candidates"]][: len(wrong)] == [
        one["id"] for one in regressed
    ]
    assert all(one["numbers"]["slice_worse"] > 0 for one in regressed)


@pytest.mark.parametrize("required", [False, True])
def test_consent_of_today_decides(workspace: Workspace, *, required: bool) -> None:
    """What was revoked after the run is not listed; unknown ones are where it is optional."""
    revoked, unknown = (row["id"] for row in clips(workspace)[:2])
    made = run(workspace, lambda _: {"text": "wrong"})

    def change(row: Row) -> Row:
        words = {revoked: "revoked", unknown: "unknown"}
        return row | {"consent": words.get(row["id"], row["consent"])}

    manifest(workspace, change)
    if required:
        path = workspace.folder / "datasets" / "assistant-commands" / "dataset.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("consent: optional", "consent: required"), encoding="utf-8")
    document = ranked(workspace, made)
    listed = {one["id"] for one in document["candidates"]}
    assert revoked not in listed
    assert (unknown in listed) is not required
    assert document["withheld"] == {"revoked": 1} | ({"unknown": 1} if required else {})


def test_no_word_of_a_transcript_leaves(workspace: Workspace, tmp_path: Path) -> None:
    """Planted words of references, answers and failures are in no output, log or message."""
    manifest(workspace, lambda row: row | {"text": f"{PLANTED}ref {row['text']}", "entities": []})
    failed = clips(workspace)[0]["id"]

    def answer(row: Row) -> Row:
        if row["id"] == failed:
            return {"error": f"{PLANTED}err"}
        return {"text": f"{PLANTED}hyp {row['text']}"}

    first = run(workspace, answer)
    second = run(workspace, lambda row: {"text": f"{PLANTED}two {row['text']}"})
    texts = (workspace.folder / ".relkit" / "runs" / first / "texts.parquet").read_bytes()
    assert texts  # the texts are there to be read
    target = tmp_path / "review.csv"
    for arguments in ([first], [first, second], [first, "--baseline", second]):
        for form in (["--json"], [], ["--debug"], ["--output", str(target)]):
            said = workspace.relkit("dataset", "candidates", *arguments, *form)
            assert said.code == 0, said.err
            written = target.read_text(encoding="utf-8") if target.exists() else ""
            assert failed in said.out
            assert PLANTED not in said.out + said.err + written
            target.unlink(missing_ok=True)


def test_the_csv_table_is_the_same_list(workspace: Workspace, tmp_path: Path) -> None:
    """``--output`` writes what ``--json`` says, as many as ``--limit`` allows."""
    made = run(workspace, lambda row: {"text": str(row["text"])[:12]})
    target = tmp_path / "review.csv"
    document = ranked(workspace, made, "--limit", "3", "--output", str(target))
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert [row["id"] for row in rows] == [one["id"] for one in document["candidates"]]
    assert [float(row["score"]) for row in rows] == [one["score"] for one in document["candidates"]]
    assert len(rows) == 3
    assert document["flagged"] > 3


def test_a_run_that_cannot_be_read_is_one_error(workspace: Workspace) -> None:
    """An unknown run, a changed table and a dataset that is gone: exit 2 and what to do."""
    made = run(workspace, right)
    said = workspace.relkit("dataset", "candidates", "nope")
    assert (said.code, "names no run" in said.err) == (2, True)
    table = workspace.folder / ".relkit" / "runs" / made / "texts.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:-1] + b"x")
    said = workspace.relkit("dataset", "candidates", made)
    assert (said.code, "was changed after the run" in said.err) == (2, True)
    table.write_bytes(whole)
    folder = workspace.folder / "datasets" / "assistant-commands"
    folder.rename(folder.with_name("elsewhere"))
    said = workspace.relkit("dataset", "candidates", made)
    assert (said.code, "no dataset" in said.err) == (2, True)
