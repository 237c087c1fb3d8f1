"""Policies of live traffic are found by name in the workspace, or by path."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from relkit.adapters.definitions import MonitorFiles
from relkit.core.codec import parse_yaml
from relkit.core.errors import InvalidInput, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A small policy."""

    name: str
    limit: int


def parse_watched(text: str, *, source: str) -> Watched:
    """Return a small policy from YAML."""
    return parse_yaml(text, Watched, source=source)


@pytest.fixture
def files(tmp_path: Path) -> MonitorFiles:
    """Return the policies of a folder with one in it."""
    (tmp_path / "serving.yaml").write_text("name: serving\nlimit: 3\n")
    return MonitorFiles(tmp_path)


def test_a_policy_is_read_by_name_and_by_path(files: MonitorFiles, tmp_path: Path) -> None:
    """Both ways lead to the same file, and a path may be called as it likes."""
    policy = Watched(name="serving", limit=3)
    assert files.read("serving", parse_watched) == policy
    other = tmp_path / "other.yaml"
    other.write_text("name: serving\nlimit: 3\n")
    assert files.read(str(other), parse_watched) == policy


@pytest.mark.parametrize("name", ["servign", "../serving", "gone/servign.yaml"])
def test_an_unknown_policy_is_named_with_the_nearest(files: MonitorFiles, name: str) -> None:
    """A misspelt name says what it could be, and no folder of the machine."""
    with pytest.raises(UsageError) as error:
        files.read(name, parse_watched)
    assert error.value.hint == 'did you mean "serving"?'
    assert "gone" not in error.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: serving\nlimt: 3\n", 'second.yaml, line 2: unknown key "limt"'),
        ("name: serving\nlimit: 3\n", 'second.yaml: is called "serving"'),
    ],
)
def test_a_refused_policy_names_its_file(
    files: MonitorFiles, tmp_path: Path, text: str, message: str
) -> None:
    """Unknown keys and a name that is not the file's are refused with the place."""
    (tmp_path / "second.yaml").write_text(text)
    with pytest.raises(InvalidInput) as error:
        files.read("second", parse_watched)
    assert error.value.message == message
