"""``relkit dataset import``: four real layouts, each imported and evaluated from end to end."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from relkit.adapters.datasets import DatasetFiles
from relkit.adapters.git import GitRevisions
from tests.builders import tiny_disk
from tests.conftest import Workspace

HEAD = "schema: relkit.suite/v1\n"
ECHO = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "text": "hello there"}), flush=True)
"""
ACCOUNTS = ("f" * 64 + "1" * 64, "e" * 128)
CV_HEAD = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment"


def speak(path: Path, seconds: float = 0.5) -> Path:
    """Write a clip of noise in the format that its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7).uniform(-0.1, 0.1, round(16_000 * seconds))
    soundfile.write(path, noise.astype(np.float32), 16_000)
    return path


def write(path: Path, text: str) -> Path:
    """Write a text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def nemo(folder: Path) -> Path:
    """Write a manifest with an absolute and a relative path, and a segment of each."""
    speak(folder / "audio" / "a.wav", 2.0)
    speak(folder / "audio" / "deep" / "b.flac")
    near: dict[str, Any] = {"duration": 0.5, "text": "hello there", "duration_bin": "short"}
    rows = [
        near | {"audio_filepath": str(folder / "audio" / "a.wav"), "offset": 0.0, "speaker": "s1"},
        near | {"audio_filepath": "audio/a.wav", "offset": 1.0, "speaker": "s2"},
        near | {"audio_filepath": "audio/deep/b.flac", "speaker": "s2", "lang": "cy"},
    ]
    return write(folder / "test.json", "".join(json.dumps(row) + "\n" for row in rows))


def kaldi(folder: Path) -> Path:
    """Write a recipe's folder whose ``data/test`` names audio from the recipe's folder on."""
    speak(folder / "wav" / "call1.wav", 3.0)
    data = folder / "data" / "test"
    write(data / "wav.scp", "call1 wav/call1.wav\n")
    write(data / "segments", "s2-b call1 1.5 2.25\ns1-a call1 0.25 1.0\ns1-c call1 2.25 -1\n")
    write(data / "text", "s1-a hello there\ns2-b hello where\ns1-c\n")
    write(data / "utt2spk", "s1-a s1\ns1-c s1\ns2-b s2\n")
    write(data / "spk2gender", "s1 f\ns2 m\n")
    return data


def common_voice(folder: Path) -> Path:
    """Write a language of a release, its clips as real MP3."""
    rows = []
    for number, account in enumerate((ACCOUNTS[0], ACCOUNTS[0], ACCOUNTS[1])):
        clip = speak(folder / "cy" / "clips" / f"common_voice_cy_{number}.mp3")
        sentence = 'hello "there"' if number else "hello there"
        rows.append(f"{account}\t{clip.name}\t{sentence}\t2\t{number}\ttwenties\t\t\tcy\t")
    speak(folder / "cy" / "clips" / "common_voice_cy_99.mp3")
    write(folder / "cy" / "validated.tsv", "\n".join([CV_HEAD, *rows]) + "\n")
    write(folder / "cy" / "test.tsv", "\n".join([CV_HEAD, rows[0]]) + "\n")
    return folder / "cy"


def audio_folder(folder: Path) -> Path:
    """Write splits with a table each, one as CSV and one as JSON lines."""
    speak(folder / "data" / "train" / "one.wav")
    speak(folder / "data" / "train" / "more" / "two.ogg")
    speak(folder / "data" / "test" / "three.flac")
    speak(folder / "data" / "test" / "nobody.flac")
    table = 'file_name,transcription,speaker_id\none.wav,"hello, there",s1\nmore/two.ogg,hello,s2\n'
    write(folder / "data" / "train" / "metadata.csv", table)
    row = {"file_name": "three.flac", "transcription": "hello there", "speaker_id": "s3"}
    write(folder / "data" / "test" / "metadata.jsonl", json.dumps(row) + "\n")
    return folder / "data"


def csv_table(folder: Path) -> Path:
    """Write a table as a spreadsheet saves it, with columns of its own."""
    speak(folder / "calls" / "1.wav")
    speak(folder / "calls" / "2.flac", 1.25)
    rows = [
        "Clip,Spoken,Agent,Line",
        'calls/1.wav,"hello, there",a1,mobile',
        "calls/2.flac,,a2,fixed",
    ]
    path = folder / "calls.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    return path


CSV_COLUMNS = ("--column", "audio=Clip", "--column", "text=Spoken", "--column", "speaker=Agent")

LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "nemo": nemo,
    "kaldi": kaldi,
    "common-voice": common_voice,
    "audiofolder": audio_folder,
}
SLICES = {"nemo": "lang", "kaldi": "gender", "common-voice": "split", "audiofolder": "split"}


def rows_of(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """Return the manifest of a dataset."""
    text = (workspace.folder / "datasets" / name / "manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def evaluate(workspace: Workspace, name: str, column: str) -> dict[str, Any]:
    """Run a real program over a dataset and return the report."""
    write(workspace.folder / "echo.py", ECHO)
    system = '{kind: command, run: "python3 echo.py", timeout_s: 20}'
    suite = f"{HEAD}name: {name}\ndataset: {{name: {name}}}\nslices: [{column}]\nsystem: {system}\n"
    write(workspace.folder / "eval" / "suites" / f"{name}.yaml", suite)
    said = workspace.relkit("eval", name, "--json")
    assert said.code == 0, said.out + said.err
    return said.document


def test_audio_of_another_machine_is_refused_before_anything_is_asked(
    workspace: Workspace, tmp_path: Path
) -> None:
    """A clone has the absolute folder in its settings and not on its disk: --copy is named."""
    source = nemo(tmp_path / "source")
    assert workspace.relkit("dataset", "import", "nemo", str(source), "--name", "mine").code == 0
    (tmp_path / "source" / "audio" / "a.wav").unlink()
    assert evaluate(workspace, "mine", "lang")["scored"] == 1
    shutil.rmtree(tmp_path / "source")
    said = workspace.relkit("eval", "mine", "--json")
    assert said.code == 2
    assert "audio_roots" in said.document["error"]["message"]
    assert "--copy" in said.document["error"]["hint"]
    assert str(tmp_path) not in said.out
    assert len(workspace.runs) == 1
    # Answers that were recorded where the audio is need none of it.
    answers = [{"id": row["id"], "text": "hello"} for row in rows_of(workspace, "mine")]
    text = "".join(json.dumps(answer) + "\n" for answer in answers)
    write(workspace.folder / "answers.jsonl", text)
    suite = workspace.folder / "eval" / "suites" / "mine.yaml"
    system = "{kind: recorded, path: answers.jsonl}"
    write(suite, re.sub("system: .*", f"system: {system}", suite.read_text(encoding="utf-8")))
    assert workspace.relkit("eval", "mine").code == 0


@pytest.mark.parametrize("how", ["--link-root", "--copy"])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_real_layout_becomes_a_dataset_that_is_evaluated(
    workspace: Workspace, tmp_path: Path, kind: str, how: str
) -> None:
    """Imported, loaded, decoded and scored: every clip, by slice, linked or copied."""
    source = LAYOUTS[kind](tmp_path / "source")
    said = workspace.relkit("dataset", "import", kind, str(source), "--name", "new", how, "--json")
    assert said.code == 0, said.out
    document = said.document
    assert (document["dataset"], document["utterances"], document["missing_audio"]) == ("new", 3, 0)
    assert document["audio"] == ("copied" if how == "--copy" else "linked")
    assert document["consent"] == {"unknown": 3}
    assert document["speakers"] == (3 if kind == "audiofolder" else 2)
    if how == "--copy":
        shutil.rmtree(tmp_path / "source")
    report = evaluate(workspace, "new", SLICES[kind])
    assert (report["expected"], report["scored"], report["failures"]) == (3, 3, 0)
    assert report["slices"][0]["clusters"] == document["speakers"]
    assert any(item["slice"].startswith(f"{SLICES[kind]}=") for item in report["slices"])
    row = pq.read_table(workspace.runs[0] / "results.parquet").to_pylist()[0]
    assert row["duration"] == pytest.approx(0.75 if kind == "kaldi" else 0.5, abs=0.11)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_version_of_linked_and_copied_audio_is_the_same(
    workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    """A digest covers rows and samples, not where they lie; only the name differs."""
    source = LAYOUTS[kind](tmp_path / "source")
    digests = set()
    for name, how in (("linked", "--link-root"), ("copied", "--copy")):
        said = workspace.relkit("dataset", "import", kind, str(source), "--name", name, how)
        assert said.code == 0, said.err
        files = DatasetFiles(
            workspace.folder / "datasets", cache=tmp_path / "cache", revisions=GitRevisions
        )
        digests.add(files.load(name, rev=None).version.digest)
    assert len(digests) == 1


def test_the_summary_says_what_was_not_taken(workspace: Workspace, tmp_path: Path) -> None:
    """Files without an entry, columns with a new name and missing audio are all said."""
    source = audio_folder(tmp_path / "source")
    (source / "test" / "three.flac").unlink()
    table = source / "train" / "metadata.csv"
    text = table.read_text(encoding="utf-8").replace("speaker_id", "hits")
    table.write_text(text, encoding="utf-8")
    said = workspace.relkit("dataset", "import", "audiofolder", str(source))
    assert said.code == 0, said.err
    assert "dataset data, from audiofolder: 3 utterances, 1 speaker" in said.out
    assert "1 audio files are named by no entry" in said.out
    assert "column hits is now source_hits" in said.out
    assert "1 utterances name audio that is not there" in said.out
    assert "2 utterances name no speaker" in said.out
    report = evaluate(workspace, "data", "split")
    assert (report["expected"], report["scored"]) == (3, 2)
    assert report["unusable_reasons"] == {"missing": 1}


def test_no_account_of_common_voice_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    """Speakers are pseudonyms that lead back to no account, and the same ones next time."""
    source = common_voice(tmp_path / "source")
    for name in ("one", "two"):
        said = workspace.relkit("dataset", "import", "common-voice", str(source), "--name", name)
        assert said.code == 0, said.err
    first, again = rows_of(workspace, "one"), rows_of(workspace, "two")
    speakers = [row["speaker"] for row in first]
    assert speakers[0] == speakers[1] != speakers[2]
    assert all(len(speaker) == 16 for speaker in speakers)
    assert speakers == [row["speaker"] for row in again]
    for path in workspace.folder.rglob("*"):
        if path.is_file() and "audio" not in path.parts:
            assert not any(account.encode() in path.read_bytes() for account in ACCOUNTS), path
    key = workspace.folder / ".relkit" / "pseudonyms.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    workspace.relkit("dataset", "import", "common-voice", str(source), "--name", "three")
    assert rows_of(workspace, "three")[0]["speaker"] != speakers[0]


def test_without_speakers_no_interval_is_claimed(workspace: Workspace, tmp_path: Path) -> None:
    """All utterances are one cluster then, and the import says so."""
    speak(tmp_path / "source" / "a.wav")
    lines = [{"audio_filepath": "a.wav", "duration": 0.5, "text": "hello there"}] * 2
    source = write(
        tmp_path / "source" / "m.json", "".join(json.dumps(line) + "\n" for line in lines)
    )
    said = workspace.relkit("dataset", "import", "nemo", str(source), "--json")
    assert said.document["speakers"] is None
    assert any("no interval is claimed" in note for note in said.document["notes"])
    assert any("ids numbered" in note for note in said.document["notes"])
    assert [row["id"] for row in rows_of(workspace, "m")] == ["a", "a~2"]
    write(workspace.folder / "echo.py", ECHO)
    suite = (
        f"{HEAD}name: m\ndataset: {{name: m}}\nsystem: {{kind: command, run: python3 echo.py}}\n"
    )
    write(workspace.folder / "eval" / "suites" / "m.yaml", suite)
    report = workspace.relkit("eval", "m", "--json").document
    assert (report["scored"], report["slices"][0]["clusters"]) == (2, 1)
    assert report["slices"][0]["metrics"]["wer"]["low"] is None


def test_a_dataset_is_never_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    """What exists stays as it is, byte for byte."""
    source = nemo(tmp_path / "source")
    before = (workspace.folder / "datasets/assistant-commands/manifest.jsonl").read_bytes()
    said = workspace.relkit(
        "dataset", "import", "nemo", str(source), "--name", "assistant-commands"
    )
    assert said.code == 2
    assert "exists already" in said.err
    assert (workspace.folder / "datasets/assistant-commands/manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("kald", "."), 'did you mean "kaldi"?'),
        (("nemo", "nowhere.json"), "nowhere.json: no such file"),
        (("nemo", ".", "--name", "../out"), "cannot be called"),
        (("kaldi", "."), "is missing or empty"),
        (("common-voice", "."), "holds none of validated.tsv"),
        (("audiofolder", "."), "no transcripts to score against"),
    ],
)
def test_bad_input_is_one_clear_error(
    workspace: Workspace, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2, what is wrong, no absolute path, and no dataset."""
    before = set((workspace.folder / "datasets").iterdir())
    (tmp_path / "empty").mkdir()
    kind, where, *rest = arguments
    path = tmp_path / "empty" / where
    said = workspace.relkit("dataset", "import", kind, str(path), *rest)
    assert said.code == 2
    assert words in said.err
    assert str(tmp_path) not in said.err
    assert set((workspace.folder / "datasets").iterdir()) == before


@pytest.fixture
def small_datasets(workspace: Workspace, tmp_path: Path) -> Iterator[Path]:
    """Give a datasets folder on a file system of 256 KiB."""
    with tiny_disk(tmp_path / "disk", kibibytes=256) as disk:
        shutil.rmtree(workspace.folder / "datasets")
        (workspace.folder / "datasets").symlink_to(disk, target_is_directory=True)
        yield disk


def test_a_full_disk_leaves_nothing(
    workspace: Workspace, tmp_path: Path, small_datasets: Path
) -> None:
    """A copy that does not fit leaves neither a dataset nor a part of one."""
    source = nemo(tmp_path / "source")
    speak(tmp_path / "source" / "audio" / "a.wav", 20.0)
    said = workspace.relkit("dataset", "import", "nemo", str(source), "--copy", "--name", "big")
    assert said.code == 2
    assert "no space left" in said.err
    assert not list(small_datasets.iterdir())
    linked = workspace.relkit("dataset", "import", "nemo", str(source), "--name", "big")
    assert linked.code == 0, linked.err
    assert evaluate(workspace, "big", "lang")["scored"] == 3


def test_a_table_is_imported_by_its_columns(workspace: Workspace, tmp_path: Path) -> None:
    """What the columns hold is said on the command line, or by names that are usual."""
    table = csv_table(tmp_path / "source")
    said = workspace.relkit("dataset", "import", "csv", str(table))
    assert said.code == 2
    assert "line 1: no column is known to hold the audio" in said.err
    assert "--column audio=COLUMN; it has: Clip, Spoken, Agent, Line" in said.err
    said = workspace.relkit("dataset", "import", "csv", str(table), *CSV_COLUMNS, "--json")
    assert said.code == 0, said.err
    document = said.document
    assert (document["utterances"], document["speakers"], document["timed"]) == (2, 2, 2)
    first, second = rows_of(workspace, "calls")
    assert first["text"] == "hello, there"
    assert (first["speaker"], first["Line"], first["duration"]) == ("a1", "mobile", 0.5)
    assert (second["text"], second["duration"]) == ("", 1.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("csv", "--column", "audio=Clap"), 'has no column "Clap"'),
        (("csv", "--column", "sound=Clip"), "KEY=COLUMN was expected"),
        (("csv", "--column", "audio"), "KEY=COLUMN was expected"),
        (("nemo", "--column", "audio=Clip"), "--column is for csv"),
    ],
)
def test_columns_that_are_none_are_refused(
    workspace: Workspace, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Nothing is guessed, and nothing is written."""
    table = csv_table(tmp_path / "source")
    kind, *options = arguments
    said = workspace.relkit("dataset", "import", kind, str(table), *options)
    assert said.code == 2
    assert message in said.err
    assert not (workspace.folder / "datasets" / "calls").exists()


@pytest.mark.parametrize("kind", ["common-voice", "audiofolder"])
def test_lengths_come_from_the_audio(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    """Layouts that tell no length get it from the headers, so that hours and rtf are known."""
    source = LAYOUTS[kind](tmp_path / "source")
    said = workspace.relkit("dataset", "import", kind, str(source), "--name", "own", "--json")
    assert said.document["timed"] == said.document["utterances"] == 3
    assert all(row["duration"] == pytest.approx(0.5, abs=0.11) for row in rows_of(workspace, "own"))


def test_a_file_without_a_length_has_none(workspace: Workspace, tmp_path: Path) -> None:
    """A torn file is no shorter clip, and what is no audio has no length of 0."""
    source = audio_folder(tmp_path / "source")
    torn = source / "train" / "one.wav"
    torn.write_bytes(torn.read_bytes()[:-4_000])
    (source / "train" / "more" / "two.ogg").write_text("no audio")
    workspace.relkit("dataset", "import", "audiofolder", str(source), "--name", "own")
    assert [row.get("duration") for row in rows_of(workspace, "own")] == [0.5, None, None]


def test_hashes_and_votes_are_no_slices(workspace: Workspace, tmp_path: Path) -> None:
    """Two readers of one sentence make its id a column with repeats, and still no slice."""
    folder = tmp_path / "cy"
    head = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\ttake"
    rows = []
    for number in range(6):
        clip = speak(folder / "clips" / f"{number}.mp3")
        hashed = f"{number // 2:064x}"
        age, take = ("teens", "twenties")[number % 2], f"{number % 2:08x}-0000-4000-8000-{7:012x}"
        rows.append(f"acc{number}\t{clip.name}\t{hashed}\thello\t{number % 3}\t0\t{age}\t{take}")
    write(folder / "validated.tsv", "\n".join([head, *rows]) + "\n")
    said = workspace.relkit("dataset", "import", "common-voice", str(folder), "--json")
    assert said.document["slices"] == ["age"]
    assert {"sentence_id", "take", "up_votes"} <= set(said.document["columns"])


def test_the_loop_for_kaldi_pipes_makes_them_files(workspace: Workspace, tmp_path: Path) -> None:
    """Relkit runs no program of the data; the line it prints does, when a person runs it."""
    data = kaldi(tmp_path / "recipe")
    plain = "call1 wav/call1.wav\n"
    write(data / "wav.scp", "call1 cat wav/call1.wav; touch ran |\ncall2 wav/call1.wav\n")
    before = (data / "wav.scp").read_text()
    said = workspace.relkit("dataset", "import", "kaldi", str(data), "--name", "calls")
    assert said.code == 2
    assert 'wav.scp, line 1: a pipe through "cat", which is not run' in said.err
    assert not (tmp_path / "recipe" / "ran").exists()
    loop = said.err.rstrip("\n").splitlines()[-1]
    subprocess.run(["bash", "-c", loop], cwd=tmp_path / "recipe", check=True)
    assert (tmp_path / "recipe" / "ran").exists()
    assert (data / "wav.scp.pipes").read_text() == before
    assert "|" not in (data / "wav.scp").read_text() != plain
    again = workspace.relkit("dataset", "import", "kaldi", str(data), "--name", "calls", "--json")
    assert again.code == 0, again.err
    assert (again.document["utterances"], again.document["missing_audio"]) == (3, 0)
