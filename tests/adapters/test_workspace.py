"""Finding a workspace, and reading its relkit.yaml as strictly as any file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from relkit.adapters.workspace import find_workspace, read_workspace
from relkit.core.config import MlflowSettings
from relkit.core.errors import InvalidInput


def workspace(folder: Path, text: str = "name: here\n") -> Path:
    """Make a workspace with this relkit.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "relkit.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_nearest_workspace_upward_is_found(tmp_path: Path) -> None:
    """From the folder itself, from any folder below it, and the inner one of two."""
    outer = workspace(tmp_path / "outer", "name: outer\n")
    inner = workspace(outer / "a" / "inner", "name: inner\n")
    deep = inner / "x" / "y"
    deep.mkdir(parents=True)
    for start, name in (
        (outer, "outer"),
        (outer / "a", "outer"),
        (inner, "inner"),
        (deep, "inner"),
    ):
        assert find_workspace(start, {}).name == name


def test_a_folder_is_no_marker(tmp_path: Path) -> None:
    """Only a file named relkit.yaml marks a workspace."""
    workspace(tmp_path, "name: outer\n")
    (tmp_path / "in" / "relkit.yaml").mkdir(parents=True)
    assert find_workspace(tmp_path / "in", {}).name == "outer"


def test_without_a_workspace_the_way_out_is_named(tmp_path: Path) -> None:
    """The error says what is missing and how to make one."""
    with pytest.raises(InvalidInput) as caught:
        find_workspace(tmp_path, {})
    assert caught.value.message == "no relkit.yaml in this folder or above it"
    assert caught.value.hint == "make one with: relkit init DIR"


def test_the_usual_folders_are_the_default(tmp_path: Path) -> None:
    """The folders of docs/cli.md, absolute, with links in the way resolved."""
    folder = workspace(tmp_path / "real")
    link = tmp_path / "link"
    link.symlink_to(folder)
    settings = read_workspace(link, {"A": "b"})
    root = folder.resolve()
    assert settings.folder == root
    assert settings.datasets == root / "datasets"
    assert settings.suites == root / "eval" / "suites"
    assert settings.normalizers == root / "eval" / "normalizers"
    assert settings.runs == root / ".relkit" / "runs"
    assert settings.cache == root / ".relkit" / "cache"
    assert settings.mlflow is None
    assert settings.environment == {"A": "b"}


def test_folders_may_be_elsewhere_inside(tmp_path: Path) -> None:
    """``paths`` moves a folder, in any spelling that stays inside."""
    folder = workspace(tmp_path, "name: x\npaths: {datasets: data/../sets, suites: ./s}\n")
    settings = read_workspace(folder, {})
    assert settings.datasets == tmp_path.resolve() / "sets"
    assert settings.suites == tmp_path.resolve() / "s"


@pytest.mark.parametrize("key", ["datasets", "suites", "normalizers"])
@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "/etc", "/"])
def test_no_folder_leaves_the_workspace(tmp_path: Path, key: str, path: str) -> None:
    """A shared workspace file cannot point relkit at the rest of the machine."""
    workspace(tmp_path, f"name: x\npaths: {{{key}: {path}}}\n")
    with pytest.raises(InvalidInput) as caught:
        read_workspace(tmp_path, {})
    assert caught.value.message == f'relkit.yaml: "paths.{key}" leaves the workspace'
    assert caught.value.hint == "use a folder inside it"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "relkit.yaml: is empty"),
        (b"name: x\npahts: {}\n", 'relkit.yaml, line 2: unknown key "pahts"'),
        (b"name: x\npaths: {dataset: a}\n", 'relkit.yaml, line 2: unknown key "paths.dataset"'),
        (b"name: 3\n", 'relkit.yaml, line 1: "name": Input should be a valid string'),
        (b"\xef\xbb\xbfname: x\n", "relkit.yaml, line 1: starts with a byte order mark"),
        (b"name: x\n# \xff\n", "relkit.yaml, line 2: not UTF-8 text"),
        (b"name: x\nname: y\n", 'relkit.yaml, line 2: the key "name" stands twice'),
        (b'name: x\npaths: {datasets: "a\\0"}\n', "relkit.yaml, line 2: holds a character"),
        (b"name: x\nprivacy: {profile: none}\n", 'relkit.yaml, line 2: "privacy.profile"'),
        (b"schema: relkit.suite/v1\nname: x\n", 'relkit.yaml, line 1: "schema"'),
    ],
)
def test_a_wrong_workspace_file_is_refused_with_its_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    """One clear error, without the machine's paths."""
    (tmp_path / "relkit.yaml").write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        find_workspace(tmp_path, {})
    assert caught.value.message.startswith(message)
    assert str(tmp_path) not in caught.value.message


MLFLOW = "name: x\nmlflow: {tracking_uri: 'http://file', experiment: file}\n"


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("name: x\n", {}, None),
        ("name: x\n", {"MLFLOW_TRACKING_URI": ""}, None),
        ("name: x\nmlflow: {}\n", {}, (None, "x")),
        (MLFLOW, {}, ("http://file", "file")),
        (MLFLOW, {"MLFLOW_TRACKING_URI": "http://env"}, ("http://env", "file")),
        (MLFLOW, {"MLFLOW_EXPERIMENT_NAME": "env"}, ("http://file", "env")),
        ("name: x\n", {"MLFLOW_TRACKING_URI": "http://env"}, ("http://env", "x")),
    ],
)
def test_the_variables_of_mlflow_win(
    tmp_path: Path,
    text: str,
    environment: Mapping[str, str],
    expected: tuple[str | None, str] | None,
) -> None:
    """They keep the meaning they have for MLflow itself."""
    found = read_workspace(workspace(tmp_path, text), environment).mlflow
    assert found == (
        None
        if expected is None
        else MlflowSettings(tracking_uri=expected[0], experiment=expected[1])
    )


def test_a_folder_without_the_marker_is_no_workspace(tmp_path: Path) -> None:
    """``--workspace DIR`` must name one."""
    with pytest.raises(InvalidInput, match=r"^relkit\.yaml: no such file") as caught:
        read_workspace(tmp_path, {})
    assert caught.value.hint == "make one with: relkit init DIR"
