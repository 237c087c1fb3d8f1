"""The command line: options before and after the name, help with examples, one JSON document."""

import importlib
import inspect
import json
import re
import signal
from pathlib import Path

import pytest

from relkit.cli import boundary
from relkit.cli.app import COMMANDS, GROUPS
from relkit.cli.boundary import run
from tests.builders import git
from tests.conftest import Workspace
from tests.documented import assert_keys

SIMPLE = {name: entry for name, entry in COMMANDS.items() if entry[0]}
INNER = {
    f"{group} {name}": entry
    for group, table in GROUPS.items()
    for name, entry in table.items()
    if entry[0]
}
PLACES = {name: place for name, (place, _) in (SIMPLE | INNER).items()}
ALL = {name: text for name, (_, text) in (SIMPLE | INNER).items()}
"""Every command as it is typed, with its one-line help."""


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_its_job_and_one_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--help`` of every command says what it does as the list does, and how it is called."""
    assert run([*name.split(), "--help"]) == 0
    flat = " ".join(capsys.readouterr().out.split())
    assert ALL[name] in flat
    assert f"Example: relkit {name} " in flat
    for option in ("--workspace", "--json", "--quiet", "--debug", "--color"):
        assert option in flat


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``relkit dataset --help`` says what there is, without loading any of it."""
    assert run([*group.split(), "--help"]) == 0
    flat = " ".join(capsys.readouterr().out.split())
    for name, (_, text) in GROUPS[group].items():
        assert f"{name} {text}" in flat


@pytest.mark.parametrize("name", ALL)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The one-line help stands twice (the list imports no command) and must not drift."""
    module, function = PLACES[name].split(":")
    command = getattr(importlib.import_module(f"relkit.cli.{module}"), function)
    first = (inspect.getdoc(command) or "").splitlines()[0]
    assert first == ALL[name]


@pytest.mark.parametrize("before", [True, False])
def test_common_options_stand_before_or_after_the_name(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], *, before: bool
) -> None:
    """``relkit --json eval`` and ``relkit eval --json`` are the same."""
    common = ["--json", "--workspace", str(workspace.folder)]
    arguments = [*common, "eval", "nope"] if before else ["eval", "nope", *common]
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    assert '"code": "usage"' in captured.out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("evla",), 'did you mean "eval"?'),
        (("dataset", "imprt"), 'did you mean "import"?'),
        (("lock",), "it is: relkit dataset lock"),
        (("import",), "relkit dataset import or relkit registry import"),
        (("registry", "eval"), "it is: relkit eval"),
        (("--quiet", "rolback"), 'did you mean "rollback"?'),
        (("zzz",), "known: agent, approve"),
    ],
)
def test_the_nearest_command_is_named(
    arguments: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped name gets the one that was meant, also where it belongs to another group."""
    assert run([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert hint in captured.err


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_a_name_alone_shows_the_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``relkit`` and ``relkit dataset`` show what there is, and exit 2 as nothing was done."""
    assert run(group.split()) == 2
    alone = capsys.readouterr()
    assert run([*group.split(), "--help"]) == 0
    assert capsys.readouterr().out == alone.out
    assert alone.err == ""


def test_the_version_has_a_short_name(capsys: pytest.CaptureFixture[str]) -> None:
    """``relkit -V`` is ``relkit --version``."""
    assert run(["--version"]) == run(["-V"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_init_inside_a_repository_says_where_its_workflow_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitHub reads workflows at the top alone: the second workspace is told of the first."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    assert run(["init", "one"]) == 0
    said = capsys.readouterr().err
    assert "wrote ../.github/workflows/relkit-gate.yml, at the top of the repository" in said
    assert 'with workspace: "one"' in said
    assert run(["init", "two"]) == 0
    said = capsys.readouterr().err
    assert '../.github/workflows/relkit-gate.yml is there: gate in it with workspace: "two"' in said


def test_init_fills_the_folder_it_is_called_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without DIR the workspace is made here, and a lost policy comes back with its margins."""
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 0
    assert "next: relkit eval demo" in capsys.readouterr().err
    policy = tmp_path / "gates" / "asr-promotion.yaml"
    before = policy.read_bytes()
    assert run(["init", "--only", "gates/asr-promotion.yaml"]) == 2
    assert "move it away first" in capsys.readouterr().err
    policy.unlink()
    assert run(["init", "--only", "gates/asr-promotion.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "written": ["gates/asr-promotion.yaml"],
        "made": [],
        "workflow": None,
    }
    assert policy.read_bytes() == before


def test_quiet_says_only_the_result(workspace: Workspace) -> None:
    """With ``--quiet`` stderr stays empty."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    said = workspace.relkit("eval", name, "--quiet")
    assert said.code == 0
    assert said.err == ""
    assert "overall" not in said.out
    assert re.search(r"^wer +0\.0 %", said.out, re.MULTILINE)


def test_worst_slices_come_first(workspace: Workspace) -> None:
    """The terminal table begins with the slice that needs attention."""

    def answer(row: dict[str, str]) -> dict[str, str]:
        return {"text": "no" if row["noise"] == "babble" else row["text"]}

    said = workspace.relkit("eval", workspace.recorded(answer))
    table = said.out[said.out.index("worst first") :].splitlines()
    assert table[1].startswith("noise=babble")


def test_the_markdown_report_goes_to_stdout_or_a_file(workspace: Workspace) -> None:
    """``relkit report --markdown`` prints the page; ``--output`` writes it and names it."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    workspace.relkit("eval", name)
    run_id = workspace.runs[0].name
    page = workspace.relkit("report", run_id[:12], "--markdown").out
    assert page.startswith("# recorded: run ")
    target = workspace.folder / "page.md"
    said = workspace.relkit("report", run_id, "--markdown", "--output", str(target))
    assert target.read_text(encoding="utf-8") == page
    assert said.err.strip().endswith("page.md")


def test_the_page_is_written_below_reports_and_named_on_stderr(workspace: Workspace) -> None:
    """Without ``--markdown`` it is one HTML file, and stdout stays empty."""
    workspace.relkit("eval", workspace.recorded(lambda row: {"text": row["text"]}))
    run_id = workspace.runs[0].name
    said = workspace.relkit("report", run_id)
    assert (said.code, said.out) == (0, "")
    assert said.err == f"report: .relkit/reports/{run_id}.html\n"
    page = workspace.folder / ".relkit" / "reports" / f"{run_id}.html"
    assert page.read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")
    assert workspace.relkit("report", run_id, "--quiet").err == ""


def test_runs_are_listed_and_named_by_their_place(workspace: Workspace) -> None:
    """@latest and @prev stand for runs in every command, and mean one run all the time."""
    suite = workspace.recorded(lambda row: {"text": row["text"]})
    assert workspace.relkit("runs").out == "no run yet: relkit eval SUITE\n"
    first = workspace.relkit("eval", suite, "--json").document["run"]
    again = workspace.relkit("rescore", "@latest", "--json").document["run"]
    said = workspace.relkit("runs", "--json")
    assert [run["run"] for run in said.document["runs"]] == [again, first]
    assert_keys("runs", "runs[]", said.document["runs"][0])
    assert workspace.relkit("runs", "--suite", "demo", "--json").document == {"runs": []}
    compared = workspace.relkit("compare", "@prev", "@latest", "--json").document
    assert (compared["baseline"]["run"], compared["candidate"]["run"]) == (first, again)
    reviewed = workspace.relkit("dataset", "candidates", "@latest", "@prev", "--json").document
    assert reviewed["runs"] == [again, first]
    gated = workspace.relkit("gate", "launch", "--candidate", "asr=@latest", "--json").document
    assert gated["parts"][0]["candidate"]["run"] == again
    resumed = workspace.relkit("eval", suite, "--resume", "@latest")
    assert resumed.code == 2
    assert "there is no interrupted run" in resumed.err


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_inside_of_a_library_is_no_defect(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    name: str,
) -> None:
    """What a signal raises in a query DuckDB turns into an error: the signal still counts."""

    def query(_arguments: list[str]) -> int:
        try:
            signal.raise_signal(number)
        except BaseException:  # noqa: BLE001 - as a native library does
            raise RuntimeError("Query interrupted") from None
        raise AssertionError("no signal arrived")

    monkeypatch.setattr(boundary, "_run", query)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(["slo", "--json"]) == code
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert json.loads(capsys.readouterr().out)["error"]["code"] == name
