"""Five foreign layouts, each from nothing to a decision with the commands that a user types."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Workspace
from tests.documented import assert_keys
from tests.e2e.test_dataset_import import speak, write

SPEAKERS, CLIPS = 8, 10
ROWS: list[dict[str, str]] = [
    {
        "id": f"s{speaker}-{clip}",
        "file": f"s{speaker}-{clip}.wav",
        "text": f"turn number {speaker * CLIPS + clip} on in the hall now",
        "speaker": f"s{speaker}",
        "accent": "broad" if speaker % 2 else "plain",
    }
    for speaker in range(SPEAKERS)
    for clip in range(CLIPS)
]


def audio(folder: Path) -> None:
    """Write a short clip for every row."""
    first = speak(folder / ROWS[0]["file"], 0.2)
    for row in ROWS[1:]:
        shutil.copyfile(first, folder / row["file"])


def as_csv(path: Path, head: Sequence[str], keys: Sequence[str]) -> None:
    """Write the rows as a table with these names of columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerows([head, *([row[key] for key in keys] for row in ROWS)])


def nemo(folder: Path) -> list[str]:
    """Write a manifest without durations."""
    audio(folder)
    lines = [
        {"audio_filepath": row["file"], **{k: row[k] for k in ("text", "speaker", "accent")}}
        for row in ROWS
    ]
    path = write(folder / "test.json", "".join(json.dumps(line) + "\n" for line in lines))
    return ["nemo", str(path)]


def kaldi(folder: Path) -> list[str]:
    """Write a data directory."""
    audio(folder)
    for name, value in (("wav.scp", "file"), ("text", "text"), ("utt2spk", "speaker")):
        write(folder / name, "".join(f"{row['id']} {row[value]}\n" for row in ROWS))
    write(folder / "utt2accent", "".join(f"{row['id']} {row['accent']}\n" for row in ROWS))
    return ["kaldi", str(folder)]


def votes(row: dict[str, str]) -> list[str]:
    """Return the last columns of a clip in a release."""
    return ["2", row["accent"], "en"]


def common_voice(folder: Path) -> list[str]:
    """Write a language of a release: hashes in the columns, no durations."""
    audio(folder / "clips")
    head = ["client_id", "path", "sentence_id", "sentence", "up_votes", "accent", "locale"]
    rows = [
        [*(f"{ord(row['speaker'][1]):0128x}", row["file"], f"{7:064x}", row["text"]), *votes(row)]
        for row in ROWS
    ]
    write(folder / "validated.tsv", "".join("\t".join(row) + "\n" for row in [head, *rows]))
    return ["common-voice", str(folder)]


def audio_folder(folder: Path) -> list[str]:
    """Write a folder with its table."""
    audio(folder)
    head = ["file_name", "transcription", "speaker_id", "accent"]
    as_csv(folder / "metadata.csv", head, ["file", "text", "speaker", "accent"])
    return ["audiofolder", str(folder)]


def any_table(folder: Path) -> list[str]:
    """Write a table with columns of its own."""
    audio(folder)
    as_csv(
        folder / "t.csv", ["Clip", "Said", "Who", "accent"], ["file", "text", "speaker", "accent"]
    )
    columns = ["--column", "audio=Clip", "--column", "text=Said", "--column", "speaker=Who"]
    return ["csv", str(folder / "t.csv"), *columns]


def answers(workspace: Workspace, name: str, every: int) -> str:
    """Write the answers of a system that gets every nth utterance wrong, as another tool would."""
    manifest = workspace.folder / "datasets" / "calls" / "manifest.jsonl"
    with (workspace.folder / name).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["utterance", "reference", "hypothesis"])
        for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            heard = row["text"] if number % every else row["text"].replace("hall", "hole")
            table.writerow([row["id"], row["text"], heard])
    return name


@pytest.mark.parametrize("layout", [nemo, kaldi, common_voice, audio_folder, any_table])
def test_from_nothing_to_a_decision(
    workspace: Workspace, tmp_path: Path, layout: Callable[[Path], list[str]]
) -> None:
    """Import, plan, evaluate two systems, compare, decide; no file is written by hand."""

    def relkit(*arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # any document
        said = workspace.relkit(*arguments, "--json")
        assert said.code == code, said.out
        return said.document

    source = layout(tmp_path / "source")
    made = relkit("dataset", "import", *source, "--name", "calls")
    assert_keys("dataset import", "starter", made["starter"])
    assert made["starter"]["written"] == ["eval/suites/calls.yaml", "gates/calls.yaml"]
    assert (made["utterances"], made["speakers"]) == (len(ROWS), SPEAKERS)
    assert (made["timed"], made["slices"]) == (len(ROWS), ["accent"])
    assert made["starter"]["untested"] == ["accent"]  # four speakers each
    planned = relkit("gate", "calls", "--plan", "--suite", "calls")
    assert not [item for item in planned["findings"] if item["severity"] == "refuse"]
    policy = yaml.safe_load((workspace.folder / "gates" / "calls.yaml").read_text("utf-8"))
    assert policy["rules"][0]["margin"] == made["starter"]["margin"] != 0.02

    def evaluate(path: str, *more: str) -> str:
        mapping = "mapping={id: utterance, text: hypothesis}"
        options = ("kind=recorded", f"path={path}", mapping)
        system = [word for option in options for word in ("--system", option)]
        return str(relkit("eval", "calls", *system, *more)["run"])

    old, new = answers(workspace, "old.csv", 10), answers(workspace, "new.csv", 20)
    evaluate(new, "--limit", "5")
    assert relkit("gate", "calls", "--candidate", "@latest", code=4)["verdict"] == "no_data"
    runs = [evaluate(old), evaluate(new)]
    compared = relkit("compare", "@prev", "@latest")
    assert [compared["baseline"]["run"], compared["candidate"]["run"]] == runs
    decided = relkit("gate", "calls", "--candidate", "@latest", "--baseline", "@prev")
    assert decided["verdict"] == "pass"
    evaluate(answers(workspace, "bad.csv", 1))
    worse = relkit("gate", "calls", "--candidate", "@latest", "--baseline", "@prev", code=1)
    assert worse["verdict"] == "fail"


def test_an_import_changes_no_suite_and_no_policy(workspace: Workspace, tmp_path: Path) -> None:
    """Names that are taken stay what they were, and the import says that they are there."""
    (workspace.folder / "gates" / "demo.yaml").write_text("mine", encoding="utf-8")
    before = (workspace.folder / "eval" / "suites" / "demo.yaml").read_bytes()
    source = nemo(tmp_path / "source")
    said = workspace.relkit("dataset", "import", *source, "--name", "demo")
    assert said.code == 0, said.err
    assert "suite demo and policy demo are there already" in said.err
    assert (workspace.folder / "eval" / "suites" / "demo.yaml").read_bytes() == before
    assert (workspace.folder / "gates" / "demo.yaml").read_text("utf-8") == "mine"
