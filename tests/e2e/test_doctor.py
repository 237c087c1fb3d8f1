"""`relkit doctor`: what is there, what is missing, and the command that mends it."""

import stat
import sys
from pathlib import Path

import pytest

from relkit.adapters.health import Health, look
from relkit.adapters.workspace import read_workspace
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.cli.workspace import doctor_text
from relkit.core import config
from tests.builders import commit_all, git
from tests.conftest import Workspace
from tests.decisions import statement
from tests.documented import assert_keys


def test_every_line_is_ok_or_says_what_mends_it(workspace: Workspace) -> None:
    """A healthy workspace leaves with 0, and nothing optional is missing without a command."""
    said = workspace.relkit("doctor", "--json")
    checks = said.document["checks"]
    assert said.code == 0, checks
    by_name = {item["name"]: item for item in checks}
    assert by_name["python"]["state"] == by_name["workspace"]["state"] == "ok"
    assert all(item["mend"] for item in checks if item["state"] != "ok")


def test_a_tracking_server_that_is_configured_and_down_is_missing(tmp_path: Path) -> None:
    """What the workspace asks for has to answer."""
    settings = config.Workspace(
        folder=tmp_path,
        name="w",
        datasets=tmp_path,
        suites=tmp_path,
        normalizers=tmp_path,
        gates=tmp_path,
        mlflow=config.MlflowSettings(tracking_uri="http://127.0.0.1:9"),
    )
    found = {item.name: item for item in look(settings)}
    assert found["mlflow"].state == "missing"
    assert "MLFLOW_TRACKING_URI" in found["mlflow"].remedy


@pytest.mark.parametrize("there", [True, False])
def test_pdf_is_ok_only_where_it_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """An installed weasyprint that finds no Pango is optional, and says what to install."""
    if not there:
        monkeypatch.setitem(sys.modules, "weasyprint", None)
    item = next(item for item in look(None) if item.name == "pdf")
    assert item.state == ("ok" if there else "absent")
    assert ("pango" in item.remedy) is not there


@pytest.mark.parametrize(("name", "other"), [("relkit", True), ("Relkit_Speech", False)])
def test_another_distribution_with_the_same_import_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, other: bool
) -> None:
    """Two that bring a package relkit hide each other; this one's own files are no other's."""
    record = tmp_path / f"{name}-9.9.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    (record / "RECORD").write_text("relkit/__init__.py,sha256=x,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    item = next(item for item in look(None) if item.name == "relkit")
    assert (item.state == "missing") is other
    assert item.remedy.startswith("pip uninstall relkit,") is other


def test_a_key_is_made_for_its_owner_only(workspace: Workspace, tmp_path: Path) -> None:
    """The private key is readable by nobody else, and the public one can be trusted."""
    said = workspace.relkit("doctor", "--make-key", str(tmp_path / "keys"))
    assert said.code == 0, said.err
    files = sorted((tmp_path / "keys").iterdir())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert len(files) == 2
    assert 0o600 in modes
    assert workspace.relkit("doctor", "--make-key", str(tmp_path / "keys")).code == 2


@pytest.mark.parametrize("name", ["keys", "my [keys]!", "#a/b*", "."])
def test_git_does_not_take_a_new_key(workspace: Workspace, name: str) -> None:
    """The path of the private key is ignored from then on; the public one may be committed."""
    git(workspace.folder, "init", "--quiet")
    (workspace.folder / ".gitignore").write_text(".relkit/")
    said = workspace.relkit("doctor", "--make-key", str(workspace.folder / name))
    assert said.code == 0, said.err
    public = (Path(name) / "relkit.pub").as_posix()
    assert f"signing: {{keys: [{public}]}}" in said.out
    git(workspace.folder, "add", "--all")
    files = set(git(workspace.folder, "ls-files", "-z").split("\0"))
    assert public in files
    assert not [file for file in files if file.endswith(".key")]
    ignored = (workspace.folder / ".gitignore").read_text().splitlines()
    assert ignored[0] == ".relkit/"
    assert len(ignored) == 2
    # The next step is named where people look for what is missing.
    (remedy,) = [
        item for item in look(read_workspace(workspace.folder, {})) if item.name == "signing keys"
    ]
    assert remedy.remedy.startswith("signing: {keys: [") is (name != "#a/b*")


def test_a_key_that_git_would_take_is_not_made(workspace: Workspace, tmp_path: Path) -> None:
    """Where it was committed once, where a rule brings it back, and in anybody's other repository.

    Nothing is written then, and a line of .gitignore that does not help is taken back.
    """
    git(workspace.folder, "init", "--quiet")
    committed = workspace.folder / "old" / "relkit.key"
    committed.parent.mkdir()
    committed.write_text("x")
    commit_all(workspace.folder)
    committed.unlink()
    kept = workspace.folder / "kept"
    kept.mkdir()
    (kept / ".gitignore").write_text("!relkit.key\n")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    before = (workspace.folder / ".gitignore").read_text()
    for folder in (committed.parent, kept, other, other / "new"):
        said = workspace.relkit("doctor", "--make-key", str(folder))
        assert (said.code, "git would take" in said.err) == (2, True)
        assert not (folder / "relkit.key").exists()
    assert (workspace.folder / ".gitignore").read_text() == before
    (other / ".gitignore").write_text("*.key\n")
    assert workspace.relkit("doctor", "--make-key", str(other / "new")).code == 0


def _evidence(workspace: Workspace) -> Health:
    """Return what doctor says of decisions in git."""
    settings = read_workspace(workspace.folder, {})
    (item,) = [item for item in look(settings) if item.name == "evidence"]
    return item


def test_decisions_that_git_has_are_said(workspace: Workspace) -> None:
    """By their place or by what they are, wherever they lie; strongly where everybody reads CI."""
    folder = workspace.folder
    assert _evidence(workspace).state == "ok"
    git(folder, "init", "--quiet")
    commit_all(folder)
    assert _evidence(workspace).state == "ok"
    envelope = Envelope(payload=render_statement(statement(2)))
    (folder / "released.json").write_bytes(render_envelope(envelope))
    (folder / "other.json").write_text('{"payloadType": "application/vnd.in-toto+json"}')
    commit_all(folder)
    said = _evidence(workspace)
    assert (said.state, "git has 1 decision" in said.detail) == ("absent", True)
    assert "released.json" in said.remedy
    with (folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write("privacy: {ci: shared}\n")
    said = _evidence(workspace)
    assert (said.state, "everybody reads them" in said.detail) == ("missing", True)


def test_a_key_that_git_has_is_no_secret(workspace: Workspace) -> None:
    """With it the numbers in every decision are names again."""
    git(workspace.folder, "init", "--quiet")
    key = workspace.folder / ".relkit" / "evidence.key"
    key.parent.mkdir(exist_ok=True)
    key.write_text("00" * 32)
    git(workspace.folder, "add", "--force", str(key))
    said = _evidence(workspace)
    assert (said.state, "make new ones" in said.detail) == ("missing", True)


@pytest.mark.parametrize("state", ["missing", "absent"])
def test_the_summary_shows_the_mending_command(state: str) -> None:
    """A newcomer copies the line below what is missing."""
    item = Health(name="x", state=state, detail="not there", remedy="pip install x")  # type: ignore[arg-type]  # one of the states
    assert "-> pip install x" in doctor_text([item])


def test_leaks_are_found_named_and_fail(workspace: Workspace, tmp_path: Path) -> None:
    """A planted token is a hit in each encoding, by its label, and exit 1; without it, 0."""
    tokens, shared = tmp_path / "tokens.txt", tmp_path / "shared"
    tokens.write_text("speaker=zq7x kite 40\n4155550142\n")
    shared.mkdir()
    (shared / "page.html").write_text("<p>nothing</p>")
    arguments = ("doctor", "--leaks", str(shared), "--tokens", str(tokens))
    said = workspace.relkit(*arguments)
    assert (said.code, said.out.split("\n")[0]) == (0, "no leak in 1 file")
    assert "looked for: speaker, line 2" in said.out
    (shared / "log.txt").write_text("call four one double five double five oh one four two")
    (shared / "page.html").write_text("<p>zq7x&nbsp;kite&nbsp;&#52;&#48;</p>")
    said = workspace.relkit(*arguments, "--json")
    assert said.code == 1
    assert said.document == {
        "scanned": 2,
        "hits": [
            {
                "path": "log.txt",
                "member": None,
                "token": "line 2",
                "encoding": "spoken digits",
                "offset": 5,
            },
            {
                "path": "page.html",
                "member": None,
                "token": "speaker",
                "encoding": "html",
                "offset": 3,
            },
        ],
    }
    assert_keys("doctor --leaks", "hits[]", said.document["hits"][0])
    said = workspace.relkit(*arguments)
    assert said.code == 1
    assert "zq7x" not in said.out
    assert "4155550142" not in said.out


def test_what_could_not_be_scanned_is_no_pass(workspace: Workspace, tmp_path: Path) -> None:
    """A PDF exits 3, an empty folder 4, no token or no workspace 2."""
    shared = tmp_path / "shared"
    shared.mkdir()
    assert workspace.relkit("doctor", "--leaks", str(shared)).code == 4
    (shared / "page.pdf").write_bytes(b"%PDF-1.7")
    said = workspace.relkit("doctor", "--leaks", str(shared), "--json")
    assert (said.code, said.document["hits"]) == (3, [])
    assert said.document["skipped"] == ["page.pdf: PDF: its text cannot be read"]
    assert "private key" in said.err
    (shared / "t").write_text("name=anna\n")
    said = workspace.relkit("doctor", "--leaks", str(shared), "--tokens", str(shared / "t"))
    assert (said.code, "t, line 1: too short to be told from chance" in said.err) == (2, True)
    assert workspace.relkit("doctor", "--tokens", str(shared / "t")).code == 2
    outside = Workspace(folder=tmp_path, capture=workspace.capture)
    assert outside.relkit("doctor", "--leaks", str(shared)).code == 2
