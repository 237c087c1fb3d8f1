"""Audio under DVC: real git, real DVC, remotes that are a folder or a web server."""

import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from relkit.adapters.dvc import DvcAudio, dvc_init
from relkit.core.errors import BackendUnavailable, InvalidInput, MissingDependency, RelkitError
from tests.builders import commit_all, dvc, git

pytest.importorskip("dvc", reason="DVC is not installed")

FILES = {"a.wav": b"first", "deep/b.wav": b"second", "é c.wav": b"third"}


def write(folder: Path) -> Path:
    """Write a dataset's folder with audio and return it."""
    for name, data in FILES.items():
        path = folder / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def store(repository: Path) -> DvcAudio:
    """Return the audio of a repository."""
    return DvcAudio(repository, site=repository / ".relkit" / "cache" / "dvc")


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a repository whose audio is locked and pushed to a folder beside its files."""
    repository = tmp_path_factory.mktemp("pushed") / "repository"
    folder = write(repository / "sets" / "words")
    git(repository, "init", "--quiet")
    outs = store(repository).track(folder, ["audio"]).outs
    dvc(repository, "remote", "add", "--default", "near", "objects")
    dvc(repository, "push")
    return repository, outs["audio"]


@pytest.fixture
def repository(pushed: tuple[Path, str], tmp_path: Path) -> Path:
    """Give a copy of that repository whose audio and cache are gone."""
    copy = tmp_path / "repository"
    shutil.copytree(pushed[0], copy, ignore=shutil.ignore_patterns("cache", "tmp", "audio"))
    assert not (copy / ".dvc" / "cache").exists()
    return copy


@pytest.fixture
def md5(pushed: tuple[Path, str]) -> str:
    """Give the hash of the audio."""
    return pushed[1]


def place(repository: Path, md5: str) -> Path:
    """Bring the audio back and return where it was put."""
    target = repository / "back" / "audio"
    store(repository).place(repository / "sets" / "words", md5, target, what="words/audio")
    return target


def an_object(repository: Path, name: str = "a.wav") -> Path:
    """Return where the remote keeps a file."""
    md5 = hashlib.md5(FILES[name]).hexdigest()  # noqa: S324  # DVC's hash, no secret
    return repository / "objects" / "files" / "md5" / md5[:2] / md5[2:]


def test_audio_goes_under_dvc_and_out_of_git(tmp_path: Path) -> None:
    """DVC is set up, git's index lets go of the audio, the files stay; the same again is quiet."""
    folder = write(tmp_path / "repository" / "sets" / "words")
    (folder / "manifest.jsonl").write_text("{}")
    git(tmp_path / "repository", "init", "--quiet")
    commit_all(tmp_path / "repository")
    tracked = store(tmp_path / "repository").track(folder, ["audio"])
    assert (tracked.untracked, tracked.initialised, tracked.remote) == (3, True, False)
    assert tracked.outs["audio"].endswith(".dir")
    assert git(folder, "ls-files").splitlines() == ["manifest.jsonl"]
    assert contents(folder / "audio") == FILES
    assert (folder / ".gitignore").read_text() == "/audio\n"
    before = contents(folder)
    again = store(tmp_path / "repository").track(folder, ["audio"])
    assert (again.untracked, again.initialised, again.outs) == (0, False, tracked.outs)
    assert contents(folder) == before


def test_where_dvc_refuses_git_keeps_its_index(repository: Path) -> None:
    """Nothing is half-done, and the reason is DVC's without the machine's paths."""
    folder = write(repository / "sets" / "words")
    (folder / ".gitignore").unlink()
    (folder / "audio.dvc").unlink()
    git(repository, "add", "sets")
    before = git(repository, "ls-files", "--stage")
    assert "a.wav" in before
    (repository / ".dvc" / "config").write_text("[core\n")
    with pytest.raises(InvalidInput, match="dvc add failed") as caught:
        store(repository).track(folder, ["audio"])
    assert str(repository) not in caught.value.message
    assert git(repository, "ls-files", "--stage") == before


@pytest.mark.parametrize("how", ["no git", "below a git repository"])
def test_dvc_is_set_up_wherever_the_workspace_lies(tmp_path: Path, how: str) -> None:
    """Without git, or in a folder below the repository's top; once."""
    workspace = tmp_path / "top" / "workspace"
    workspace.mkdir(parents=True)
    if how != "no git":
        git(tmp_path / "top", "init", "--quiet")
    assert dvc_init(workspace, tmp_path / "site")
    assert (workspace / ".dvc").is_dir()
    assert not dvc_init(workspace, tmp_path / "site")


def test_audio_comes_back_from_a_folder_without_dvc(
    repository: Path, md5: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the objects lie on this machine, DVC need not even be installed."""
    monkeypatch.setitem(sys.modules, "dvc", None)
    target = place(repository, md5)
    assert contents(target) == FILES
    assert [path.name for path in target.parent.iterdir()] == ["audio"]


def test_audio_comes_back_from_the_cache(repository: Path, md5: str) -> None:
    """A version that was never pushed is there for whoever locked it."""
    cache = repository / ".dvc" / "cache"
    shutil.move(repository / "objects", cache)
    assert contents(place(repository, md5)) == FILES
    moved = repository / "elsewhere"
    cache.rename(moved)
    (repository / ".dvc" / "config.local").write_text("[cache]\n    dir = ../elsewhere\n")
    shutil.rmtree(repository / "back")
    assert contents(place(repository, md5)) == FILES


def test_a_single_file_is_placed_as_a_file(repository: Path) -> None:
    """Audio that lies at the top of its dataset has a hash of its own."""
    md5 = hashlib.md5(b"second").hexdigest()  # noqa: S324  # DVC's hash, no secret
    assert place(repository, md5).read_bytes() == b"second"


def test_audio_that_is_there_stays(repository: Path, md5: str) -> None:
    """Another process may have been faster; its files are as good."""
    target = place(repository, md5)
    assert place(repository, md5) == target
    assert contents(target) == FILES


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def far(repository: Path) -> Iterator[ThreadingHTTPServer]:
    """Serve the objects by HTTP, with DVC told of nothing else."""
    shutil.move(repository / "objects", repository.parent / "far")
    serve = partial(Quiet, directory=str(repository.parent / "far"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        config = f"[core]\n    remote = far\n['remote \"far\"']\n    url = {url}\n"
        (repository / ".dvc" / "config").write_text(config)
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("far")
def test_any_other_remote_is_dvcs_work(repository: Path, md5: str) -> None:
    """Audio comes from a web server into the cache, and from there into place."""
    assert contents(place(repository, md5)) == FILES
    assert (repository / ".dvc" / "cache" / "files" / "md5").is_dir()


def test_an_output_comes_from_its_own_remote(
    repository: Path, md5: str, far: ThreadingHTTPServer
) -> None:
    """The default remote lacks it; one that is not set is named."""
    config = f"['remote \"far\"']\n    url = http://127.0.0.1:{far.server_port}\n"
    config += "[core]\n    remote = empty\n['remote \"empty\"']\n    url = http://127.0.0.1:9\n"
    (repository / ".dvc" / "config").write_text(config)
    target, folder = repository / "back" / "audio", repository / "sets" / "words"
    with pytest.raises(BackendUnavailable, match='"farther", which its'):
        store(repository).place(folder, md5, target, remote="farther", what="words/audio")
    store(repository).place(folder, md5, target, remote="far", what="words/audio")
    assert contents(target) == FILES


def test_dvcs_own_reason_is_in_the_message(tmp_path: Path) -> None:
    """Also where DVC is quiet by itself: what .dvcignore names, and the output of a stage."""
    repository = tmp_path / "repository"
    folder = write(repository / "sets" / "words")
    git(repository, "init", "--quiet")
    dvc_init(repository, repository / ".relkit")
    (repository / ".dvcignore").write_text("audio/\n")
    with pytest.raises(InvalidInput, match=r"dvc add failed: .*ignored by \.dvcignore") as caught:
        store(repository).track(folder, ["audio"])
    assert str(tmp_path) not in caught.value.message
    (repository / ".dvcignore").unlink()
    (folder / "dvc.yaml").write_text("stages:\n  made:\n    cmd: make\n    outs: [audio]\n")
    with pytest.raises(InvalidInput, match="overlaps with an output of stage: 'made'"):
        store(repository).track(folder, ["audio"])


@pytest.mark.usefixtures("far")
def test_without_dvc_another_remote_is_out_of_reach(
    repository: Path, md5: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint names the extra."""
    monkeypatch.setitem(sys.modules, "dvc", None)
    with pytest.raises(MissingDependency, match="DVC is not installed") as caught:
        place(repository, md5)
    assert caught.value.hint == "pip install 'relkit-speech[dvc]'"


def _set(name: str, data: bytes) -> Callable[[Path, str], object]:
    def write(repository: Path, _md5: str) -> None:
        path = an_object(repository, name)
        path.chmod(0o644)
        path.write_bytes(data)

    return write


def _listing(data: bytes | None) -> Callable[[Path, str], object]:
    def write(repository: Path, md5: str) -> None:
        path = repository / "objects" / "files" / "md5" / md5[:2] / md5[2:]
        path.chmod(0o644)
        path.unlink()
        if data is not None:
            path.write_bytes(data)

    return write


def _config(text: str) -> Callable[[Path, str], object]:
    return lambda repository, _md5: (repository / ".dvc" / "config").write_text(text)


NEITHER = "is neither in the DVC cache nor in the remote"
BROKEN: dict[str, tuple[Callable[[Path, str], object], type[RelkitError], str]] = {
    "missing": (lambda r, _: an_object(r).unlink(), InvalidInput, f"a.wav: its object {NEITHER}"),
    "other bytes": (_set("a.wav", b"fir5t"), InvalidInput, "a.wav: its object under DVC has anot"),
    "cut short": (_set("deep/b.wav", b"sec"), InvalidInput, "deep/b.wav: its object under DVC has"),
    "empty": (_set("a.wav", b""), InvalidInput, "a.wav: its object under DVC has zero bytes"),
    "lfs": (
        _set("a.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
        InvalidInput,
        "a.wav: its object under DVC is a Git LFS pointer",
    ),
    "dvc": (_set("a.wav", b"outs:\n- md5: 0\n"), InvalidInput, "its object under DVC is a DVC poi"),
    "no list": (_listing(None), InvalidInput, "the list of its files is neither in"),
    "other list": (
        _listing(b"[]"),
        InvalidInput,
        "the list of its files under DVC has another MD5",
    ),
    "empty list": (_listing(b""), InvalidInput, "the list of its files under DVC has zero bytes"),
    "gone": (
        lambda r, _: shutil.rmtree(r / "objects"),
        BackendUnavailable,
        'not in the DVC cache, and the DVC remote "near" is gone',
    ),
    "no remote": (_config(""), BackendUnavailable, "no DVC remote is set"),
    "down": (
        _config("[core]\nremote = x\n['remote \"x\"']\nurl = http://127.0.0.1:1/nowhere\n"),
        BackendUnavailable,
        'the DVC remote "x" cannot be reached',
    ),
    "no plug-in": (
        _config("[core]\nremote = x\n['remote \"x\"']\nurl = ssh://127.0.0.1:1/nowhere\n"),
        BackendUnavailable,
        'the DVC remote "x" needs a part of DVC that is not installed',
    ),
    "no dvc here": (
        lambda r, _: shutil.rmtree(r / ".dvc"),
        InvalidInput,
        "there is no .dvc folder here",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(repository: Path, md5: str, name: str) -> None:
    """Which file, what is wrong, what to do; nothing is left where the audio belongs."""
    change, kind, message = BROKEN[name]
    change(repository, md5)
    with pytest.raises(kind) as caught:
        place(repository, md5)
    assert message in caught.value.message
    assert caught.value.message.startswith("words/audio")
    assert caught.value.hint
    assert str(repository) not in caught.value.message + caught.value.hint
    assert contents(repository / "back") == {}


def test_a_list_that_leads_outside_is_refused(repository: Path) -> None:
    """A remote is not trusted with this machine's files."""
    data = json.dumps([{"md5": "0" * 32, "relpath": "../../../x"}]).encode()
    md5 = hashlib.md5(data).hexdigest()  # noqa: S324  # DVC's hash, no secret
    path = repository / "objects" / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="leaves its folder"):
        place(repository, f"{md5}.dir")
