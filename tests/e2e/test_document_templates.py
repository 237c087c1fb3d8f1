"""Templates of a team in a workspace: they take the place of relkit's, or say what is wrong."""

import re
import shutil
from pathlib import Path

import pytest

from relkit.adapters.documents.sandbox import TEMPLATES
from tests.conftest import Workspace
from tests.runbook_data import write_story

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbooks.md"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a workspace whose releases have runbooks."""
    return write_story(tmp_path_factory.mktemp("story") / "assistant")


@pytest.fixture
def team(story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a copy of it, for templates of its own."""
    folder = tmp_path / "assistant"
    shutil.copytree(story, folder, ignore=shutil.ignore_patterns("telemetry"))
    (folder / TEMPLATES).mkdir(parents=True, exist_ok=True)
    return Workspace(folder=folder, capture=capsys)


def test_the_template_of_the_documents_is_in_each_runbook(team: Workspace) -> None:
    """As written in docs/runbooks.md, before relkit's own end."""
    example = re.search(r"```jinja\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    plain = team.relkit("runbook", "rollback", "asr@2.4").out
    (team.folder / TEMPLATES / "runbook-tail.md.j2").write_text(example[1], encoding="utf-8")
    for kind in ("rollback", "first-hour"):
        said = team.relkit("runbook", kind, "asr@2.4")
        assert said.code == 0
        assert (
            "## Whom to call\n\n| who | for |\n|---|---|\n| on duty | what is served |\n"
            in said.out
        )
        assert "| the team of asr | asr |\n\n" in said.out
    tail = plain[plain.index("## What is left open") :]
    assert team.relkit("runbook", "rollback", "asr@2.4").out.endswith(f"|\n\n{tail}")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ modle }}\n", 'line 2: no modle here; did you mean "model"?'),
        ("{% if %}\n", "line 1: "),
        ("\n{{ model.__class__ }}\n", "line 2: __class__ is not open to templates"),
        ("{% include '../../relkit.yaml' %}", "line 1: no template ../../relkit.yaml"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "line 1: ** is for numbers here"),
    ],
)
def test_a_broken_template_is_one_message_and_writes_nothing(
    team: Workspace, template: str, message: str
) -> None:
    """With the file as people know it; what was written before stays."""
    (team.folder / TEMPLATES / "runbook-tail.md.j2").write_text(template, encoding="utf-8")
    target = team.folder / "rollback.md"
    target.write_text("before")
    said = team.relkit("runbook", "rollback", "asr@2.4", "--out", str(target))
    assert (said.code, target.read_text(), said.out) == (2, "before", "")
    assert f"runbooks/templates/runbook-tail.md.j2, {message}" in said.err.replace("\n  ", " ")
    assert str(team.folder) not in said.err
