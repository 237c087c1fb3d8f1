"""What the machine does not give: a reader, room for output, an encoding, memory."""

import json
import os
import resource
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from relkit.cli import boundary
from relkit.core.errors import ExitCode, InvalidInput
from relkit.core.wording import log_line

FULL = Path("/dev/full")
SAID = "standard output could not be written: No space left on device"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with two systems over one set of references, both recorded, and two policies.

    Of the policies one passes and one blocks.
    """
    made = tmp_path_factory.mktemp("host")
    for name in ("datasets/d/audio", "eval/suites", "gates"):
        (made / name).mkdir(parents=True)
    (made / "relkit.yaml").write_text("schema: relkit.workspace/v1\nname: t\n")
    (made / "datasets/d/dataset.yaml").write_text(
        "schema: relkit.dataset/v1\nname: d\nmanifest: manifest.jsonl\ncluster: speaker\n"
    )
    rows, answers = [], []
    for i in range(60):
        key = {"id": f"ü{i}", "text": f"one two three {i}"}
        rows.append({**key, "audio_filepath": "audio/x.wav", "speaker": f"s{i % 10}"})
        answers.append({**key, "text": f"one two tree {i}"} if i % 3 == 0 else key)
    (made / "datasets/d/manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (made / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)) + "\n")
    (made / "references.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (made / "eval/suites/s.yaml").write_text(
        "schema: relkit.suite/v1\nname: s\ndataset: {name: d}\nmetrics: [wer]\n"
        "system: {kind: recorded, path: answers.jsonl}\n"
    )
    head = "schema: relkit.gate/v1\nname: {0}\nrules:\n  - {{id: x, metric: wer, max: {1}}}\n"
    for name, limit in (("passes", 0.9), ("blocks", 0.01)):
        (made / f"gates/{name}.yaml").write_text(head.format(name, limit))
    _write_audio(made / "datasets/d/audio/x.wav")
    return made


def _write_audio(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(range(256)) * 250)


@pytest.fixture(scope="module")
def run(folder: Path) -> str:
    """Give a run of the suite."""
    done = relkit(folder, "eval", "s", "--json", output=subprocess.PIPE)
    name: str = json.loads(done.stdout)["run"]
    return name


def relkit(
    folder: Path,
    *arguments: str,
    output: int,
    limit: int | None = None,
    variables: dict[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a process of its own, with a limit of memory in bytes."""
    return subprocess.run(
        [sys.executable, "-m", "relkit", *arguments],
        cwd=folder,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **(variables or {})},
        check=False,
        preexec_fn=None
        if limit is None
        else lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


def without_reader(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line with a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return relkit(folder, *arguments, output=writer)
    finally:
        os.close(writer)


SCORE = ("score", "--ref", "references.jsonl", "--hyp", "answers.jsonl")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("gate", "--help"), 0),
        (("--version",), 0),
        (SCORE, 0),
        ((*SCORE, "--json"), 0),
        (("nonsense",), 2),
        (("gate", "passes", "--candidate", "RUN"), 0),
        (("gate", "blocks", "--candidate", "RUN"), 1),
        (("gate", "blocks", "--candidate", "RUN", "--json"), 1),
    ],
)
def test_a_closed_pipe_changes_no_exit_code(
    folder: Path, run: str, arguments: tuple[str, ...], code: int
) -> None:
    """Whoever read has gone, and there is nothing to say about it."""
    done = without_reader(folder, *(run if item == "RUN" else item for item in arguments))
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 2),
        (SCORE, 2),
        (("gate", "passes", "--candidate", "RUN"), 0),
        (("gate", "blocks", "--candidate", "RUN"), 1),
    ],
)
def test_a_full_disk_is_one_message_and_no_other_verdict(
    folder: Path, run: str, arguments: tuple[str, ...], code: int
) -> None:
    """The gate's decision is on disk; a command whose result was to be shown has none."""
    with FULL.open("wb") as full:
        named = [run if item == "RUN" else item for item in arguments]
        done = relkit(folder, *named, output=full.fileno())
    assert done.returncode == code
    assert done.stderr.count(SAID) == 1
    assert "Traceback" not in done.stderr


def test_a_locale_without_letters_is_no_obstacle(folder: Path) -> None:
    """Under LC_ALL=C with Python's own remedies off, names beyond ASCII are read and written."""
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (folder / "référence.jsonl").write_bytes((folder / "references.jsonl").read_bytes())
    done = relkit(
        *(folder, "score", "--ref", "référence.jsonl", "--hyp", "answers.jsonl", "--json"),
        output=subprocess.PIPE,
        variables=plain,
    )
    assert (done.returncode, done.stderr) == (0, "")
    refused = relkit(folder, "report", "köln", output=subprocess.PIPE, variables=plain)
    assert refused.returncode == 2
    assert "köln" in refused.stderr


def test_output_in_a_narrow_encoding_is_escaped(folder: Path) -> None:
    """A terminal that can show no umlaut shows its number."""
    done = relkit(
        folder, "report", "köln", output=subprocess.PIPE, variables={"PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 2
    assert r"k\xf6ln" in done.stderr


@pytest.mark.parametrize("mib", [80, 150, 300, 450, 600, 1200])
@pytest.mark.parametrize("arguments", [SCORE, ("gate", "blocks", "--candidate", "RUN")])
def test_little_memory_is_said_and_never_a_verdict(
    folder: Path, run: str, mib: int, arguments: tuple[str, ...]
) -> None:
    """Whatever runs out first: a library, Arrow, DuckDB, a thread; or it is enough."""
    named = [run if item == "RUN" else item for item in arguments]
    done = relkit(folder, *named, output=subprocess.PIPE, limit=mib << 20)
    enough = 0 if arguments is SCORE else 1
    assert "defect" not in done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == enough and done.stdout:
        return
    assert done.returncode == ExitCode.INVALID
    assert "not enough memory" in done.stderr


def test_what_ran_out_is_looked_for_behind_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be read for want of memory is no bad file."""

    def fail(_arguments: list[str]) -> int:
        raise InvalidInput("results.parquet: cannot be read as Parquet") from MemoryError()

    monkeypatch.setattr(boundary, "_run", fail)
    assert boundary.run(["report"]) == ExitCode.INVALID
    assert capsys.readouterr().err.startswith("relkit: error: not enough memory\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("::error::x", ": :error::x"),
        ("##[error]x", "## [error]x"),
        ("a\x1b[2Jb", "a [2Jb"),
        ("a\r::error::b", "a ::error::b"),
        ("a\u202eb", "a b"),
        ("a\u2028b", "a b"),
    ],
)
def test_no_message_steers_a_terminal_or_a_runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, shown: str
) -> None:
    """Whatever is named in it: the one place that writes lines escapes them."""

    def fail(_arguments: list[str]) -> int:
        raise InvalidInput(f"no model\n{name}", hint=name)

    monkeypatch.setattr(boundary, "_run", fail)
    boundary.run(["registry"])
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["relkit: error: no model", shown, log_line(f"  {name}")]
    assert lines[2].strip() == shown
    document = {"error": {"code": "invalid_input", "message": f"no model\n{name}", "hint": name}}
    boundary.run(["registry", "--json"])
    out = capsys.readouterr().out
    assert json.loads(out) == document
    assert out.removesuffix("\n").isprintable()
    assert "##[" not in out
