"""The README is executed: every relkit command it shows runs as it stands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import relkit
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.evaluation.suites import parse_suite

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CONSOLE = [
    line.removeprefix("$ ")
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.splitlines()
    if line.startswith("$ ")
]
COMMANDS = [line for line in CONSOLE if line.startswith("relkit ")]
TEXT = [block for kind, block in BLOCKS if kind == "text"]
TEXTS = {
    "ref.txt": "turn on the light\n",
    "hyp.txt": "turn of the light\n",
    "ref.trn": "turn { on / off } the light (s1-1)\n",
    "hyp.trn": "turn off the light (s1-1)\n",
    "text": "s1-1 turn on the light\n",
    "hyp.text": "s1-1 turn of the light\n",
    "ref.stm": "call A s1 0.00 1.50 turn on the light\n",
    "hyp.ctm": "call A 0.10 0.30 turn\ncall A 0.50 0.20 on\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the files that the tour takes for granted."""
    folder = tmp_path_factory.mktemp("tour")
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def fewer_clips(workspace: Path) -> None:
    """Keep two voices of each suite: the tour is about commands, not about the machine."""
    for path in (workspace / "eval" / "suites").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        shorter = text.replace("where: {", "where: {voice: [flite-slt, flite-awb], ")
        path.write_text(shorter, encoding="utf-8")


def with_runs(command: str, folder: Path) -> str:
    """Put runs where the tour has words for them: the newest, and the one before it."""
    paths = folder.iterdir() if folder.is_dir() else ()
    names = [path.name for path in sorted(paths, key=lambda path: path.stat().st_mtime)]
    for word, place in (("BASELINE", -2), ("CANDIDATE", -1), ("RUN", -1)):
        if word in command:
            command = command.replace(word, names[place])
    return command


@pytest.mark.slow
def test_every_relkit_command_of_the_tour_runs(home: Path) -> None:
    """The commands run in the order of the README, RUN being the run that came before."""
    assert len(COMMANDS) >= 9
    relkit_path = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{relkit_path}{os.pathsep}{os.environ['PATH']}"}
    folder = home
    for command in COMMANDS:
        arguments = shlex.split(with_runs(command, folder / ".relkit" / "runs"))
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        decided = arguments[1] == "gate" and "--plan" not in arguments
        # Two voices decide nothing; that a decision was made and written is what counts here.
        fine = "decision: " in done.stderr if decided else done.returncode == 0
        quoted = {"canary": "ROLL BACK", "triage": "RELEASE TO BLAME"}.get(arguments[1])
        if quoted is not None:  # the README shows what is to blame
            fine = done.stdout.startswith(next(text for text in TEXT if quoted in text))
        assert fine, f"{command}\n{done.stderr}"
        if arguments[1] == "init":
            folder = home / arguments[2]
            fewer_clips(folder)
            for name in TEXTS:
                shutil.copy(home / name, folder / name)
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# ")


def test_the_tour_begins_with_the_two_commands() -> None:
    """A newcomer sees `make demo` and `make test` first."""
    assert [line.split("#")[0].strip() for line in CONSOLE[:2]] == ["make demo", "make test"]


def test_files_shown_in_the_tour_are_read(tmp_path: Path) -> None:
    """The dataset and the suite that the README shows are ones that relkit takes."""
    shown = [block for kind, block in BLOCKS if kind == "yaml"]
    dataset = next(block for block in shown if "relkit.dataset/v1" in block)
    suite = next(block for block in shown if "relkit.suite/v1" in block)
    assert parse_suite(suite, source="README.md").name == "demo"
    row = next(block for kind, block in BLOCKS if kind == "json")
    write_scaffold(tmp_path / "ws", scaffold_source())
    folder = tmp_path / "ws" / "datasets" / "my-commands"
    folder.mkdir()
    (folder / "dataset.yaml").write_text(dataset, encoding="utf-8")
    (folder / "manifest.jsonl").write_text(row, encoding="utf-8")
    text = suite.replace("assistant-commands, where: {subset: demo}", "my-commands")
    text = text.replace('[accent, noise, "noise&channel"]', "[accent]")
    text = text.replace("name: demo", "name: mine")
    (tmp_path / "ws" / "eval" / "suites" / "mine.yaml").write_text(text, encoding="utf-8")
    run = relkit.evaluate("mine", workspace=tmp_path / "ws", system=["timeout_s=30"])
    assert run.report.unusable == 1


def test_the_python_of_the_readme_says_what_it_says() -> None:
    """The number in the comment is the number that comes out."""
    scored = relkit.score(["turn on the light"], ["turn of the light"], normalizer="english")
    assert scored.wer == 0.25
    assert re.search(r"normalizer=\"english\"\)\.wer +# 0\.25", README)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    """Every file that the README points to exists."""
    assert (ROOT / link).is_file()
