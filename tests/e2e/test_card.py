"""``relkit card``: docs/cards.md is executed, and what is wrong with its records is refused."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.conftest import ROOT, Workspace
from tests.pages import WalkHere

CARD = Path("registry", "releases", "desk-asr", "1.0.0", "card.yaml")
GOLDEN = ROOT / "tests" / "golden" / "card.md"
PLANTED = "zq7x-kite-40-lemur"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> WalkHere:
    """Do what the page says, once."""
    walk = WalkHere("cards.md", tmp_path_factory.mktemp("cards"))
    walk.go()
    return walk


@pytest.fixture
def desk(page: WalkHere, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a copy of the page's workspace: a card needs no data."""
    folder = tmp_path / "desk"
    shutil.copytree(page.folder, folder, ignore=shutil.ignore_patterns("datasets", ".git", ".dvc"))
    return Workspace(folder=folder, capture=capsys)


def plain(markdown: str) -> str:
    """Return Markdown as it reads, without escapes."""
    return markdown.replace("\\", "")


def masked(card: str) -> str:
    """Return a card without what differs between two runs of the page: times, runs, machine."""
    card = plain(card)
    card = re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", card)
    card = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "RUN", card)
    card = re.sub(r"^Measured under: .*$", "Measured under: LOAD", card, flags=re.MULTILINE)
    return re.sub(r"sha256:[0-9a-f]{12,64}", "DIGEST", card)


@pytest.mark.slow
def test_the_page_ends_where_it_says(page: WalkHere) -> None:
    """The first card names what is open, the second nothing, and leaves a check that passes."""
    first = page.printed["relkit card desk-asr --out card.md"]
    assert "not measured: 1 point\n  gaps between groups" in first
    assert "not stated: 10 points\n  intended use" in first
    assert "not " not in page.printed["relkit card desk-asr@1.0.0 --strict --out card.md"]
    check = json.loads((page.folder / ".relkit" / "checks" / "card.json").read_text())
    assert (check["name"], check["verdict"]) == ("card", "pass")
    release = json.loads((page.folder / CARD.with_name("release.json")).read_text())
    assert check["candidate"] == release["artifact"]["digest"]
    golden = masked((page.folder / "card.md").read_text(encoding="utf-8"))
    assert golden == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(desk: Workspace) -> None:
    """A card has no clock: to a file, to stdout and as a digest it is one."""
    out = desk.folder / "again.md"
    said = desk.relkit("card", "desk-asr", "--out", str(out), "--json")
    assert said.code == 0
    assert out.read_bytes() == (desk.folder / "card.md").read_bytes()
    document = said.document
    assert document["path"] == "again.md"
    assert document["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert desk.relkit("card", "desk-asr").out == out.read_text(encoding="utf-8")
    assert desk.relkit("card", "desk-asr", "--json").document["path"] is None


@pytest.mark.slow
def test_a_hubs_library_reads_the_card_offline(
    desk: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Front matter and ``.eval_results`` parse, with the card's numbers; nothing is asked for."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from huggingface_hub import ModelCard, parse_eval_result_entries  # noqa: PLC0415 - 1 s

    card: Any = ModelCard((desk.folder / "card.md").read_text(encoding="utf-8"))
    assert (card.data.language, card.data.license) == (["en"], "cc0-1.0")
    results = {(r.metric_type, r.dataset_config): r for r in card.data.eval_results}
    assert results["wer_capped", None].metric_value == pytest.approx(0.036, abs=0.02)
    assert ("wer_capped", "accent=scottish") in results
    assert results["latency_ms.p95", None].dataset_type == "assistant-commands"
    entries = parse_eval_result_entries(yaml.safe_load((desk.folder / "desk.yaml").read_text()))
    by_task = {entry.task_id: entry for entry in entries}
    assert by_task["wer_capped"].value == results["wer_capped", None].metric_value
    assert "95 % interval" in str(by_task["wer_capped@accent=scottish"].notes)


@pytest.mark.slow
def test_the_bill_of_materials_is_taken_by_strict_validators(desk: Workspace) -> None:
    """CycloneDX 1.6 with the numbers of the card: the same bytes twice, others for another word."""
    said = desk.relkit("card", "desk-asr", "--format", "cyclonedx")
    assert (said.code, said.err) == (0, "")
    assert desk.relkit("card", "desk-asr", "--format", "cyclonedx").out == said.out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said.out) is None
    model = json.loads(said.out)["metadata"]["component"]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"wer_capped", "latency_ms.p95"} <= {metric["type"] for metric in metrics}
    assert "accent=scottish" in {metric["slice"] for metric in metrics}
    (desk.folder / CARD).write_text("schema: relkit.card/v1\ncontact: others\n", encoding="utf-8")
    other = desk.relkit("card", "desk-asr", "--format", "cyclonedx")
    assert json.loads(other.out)["serialNumber"] != json.loads(said.out)["serialNumber"]
    assert "intended use" in other.out


UNKNOWN_KEY = "schema: relkit.card/v1\nintendeduse: x\n"
BAD_TEXTS = {
    "unknown key": (UNKNOWN_KEY, "intended_use"),
    "no schema": ("intended_use: x\n", "schema"),
    "another schema": ("schema: relkit.card/v9\n", "schema"),
    "no YAML": ("schema: [relkit.card/v1\n", "card.yaml"),
    "empty": ("", "empty"),
    "escape": ('schema: relkit.card/v1\nintended_use: "\\e[2J"\n', "control character"),
    "turned text": ('schema: relkit.card/v1\ncontact: "a\\u202Eb"\n', "control character"),
    "no number": (
        'schema: relkit.card/v1\nfairness: {group: "accent=*", tolerance: .nan}\n',
        "line 2: NaN",
    ),
    "no group": (
        "schema: relkit.card/v1\nfairness: {group: accent=scottish, tolerance: 0.1}\n",
        "group",
    ),
    "a tag": ("schema: relkit.card/v1\ncontact: !!python/name:os.system x\n", "card.yaml"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("text", "words"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_card_yaml_that_says_what_it_may_not_is_refused(
    desk: Workspace, text: str, words: str
) -> None:
    """One message with file and line, exit 2, and no card."""
    (desk.folder / CARD).write_text(text, encoding="utf-8")
    said = desk.relkit("card", "desk-asr", "--out", str(desk.folder / "new.md"))
    assert (said.code, words in said.err, "Traceback" in said.err) == (2, True, False), said.err
    assert "1.0.0/card.yaml" in said.err
    assert not (desk.folder / "new.md").exists()


def changed_report(desk: Workspace) -> None:
    """Change a count in the report."""
    path = desk.folder / CARD.with_name("report.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"failures": 0', '"failures": 1', 1))


def changed_release(desk: Workspace) -> None:
    """Change the licence in the record."""
    path = desk.folder / CARD.with_name("release.json")
    path.write_text(path.read_text(encoding="utf-8").replace("CC0-1.0", "MIT"))


def changed_ledger(desk: Workspace) -> None:
    """Change what an event says."""
    path = desk.folder / "registry" / "events" / "desk-asr.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("promoted", "held"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "subject", "words"),
    [
        (changed_report, "desk-asr", "is not the report that the release names"),
        (changed_release, "desk-asr", "is not the release that was registered"),
        (changed_ledger, "desk-asr", "was edited"),
        (None, "desk-asr@9.9", 'desk-asr has no release "9.9"'),
        (None, "dsk-asr", 'no model "dsk-asr"'),
        (None, "", "no model"),
        (None, "../desk-asr", "no model"),
        (None, "desk-asr@../1.0.0", "is no version"),
    ],
)
def test_what_is_no_record_of_the_release_is_refused(
    desk: Workspace, damage: Callable[[Workspace], None] | None, subject: str, words: str
) -> None:
    """Exit 2 with one message, and nothing of what was changed is used."""
    if damage is not None:
        damage(desk)
    said = desk.relkit("card", subject)
    assert (said.code, words in said.err, said.out) == (2, True, ""), said.err


@pytest.mark.slow
def test_without_any_release_the_message_says_how_one_is_made(workspace: Workspace) -> None:
    """An empty registry is a usage error with a hint."""
    said = workspace.relkit("card", "asr")
    assert (said.code, "relkit registry register" in said.err) == (2, True)


@pytest.mark.slow
def test_a_release_without_a_report_is_not_measured(desk: Workspace) -> None:
    """Nothing is 0 or blank: the card says so, and ``--strict`` fails and leaves that it failed."""
    for path in [desk.folder / CARD.with_name("report.json"), *desk.runs]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = desk.relkit("card", "desk-asr", "--strict", "--json")
    assert said.code == 1
    assert said.document["not_measured"] == [
        "evaluation",
        "gaps between groups",
        "failures",
        "runaways",
        "latency",
    ]
    check = json.loads((desk.folder / ".relkit" / "checks" / "card.json").read_text())
    assert check["verdict"] == "fail"
    assert check["reason"].startswith("left open: evaluation (not measured), ")
    text = desk.relkit("card", "desk-asr").out
    assert "## Evaluation\n\nnot measured\n" in text
    assert "model-index" not in text
    assert desk.relkit("card", "desk-asr", "--format", "eval-results").code == 2


@pytest.mark.slow
def test_a_withdrawn_release_says_so_before_all_else(desk: Workspace) -> None:
    """Loudly in the card and beside it, and it is never complete."""
    yanked = desk.relkit(
        "registry", "yank", "desk-asr", "1.0.0", "--reason", PLANTED, "--by", PLANTED
    )
    assert yanked.code == 0, yanked.err
    said = desk.relkit("card", "desk-asr@1.0.0", "--strict")
    assert (said.code, "is withdrawn since" in said.err) == (1, True)
    body = said.out.split("# desk-asr 1.0.0\n", 1)[1].lstrip()
    assert body.startswith("> **WITHDRAWN since")
    assert "| state | withdrawn |" in said.out
    check = json.loads((desk.folder / ".relkit" / "checks" / "card.json").read_text())
    assert (check["verdict"], "withdrawn" in check["reason"]) == ("fail", True)
    assert PLANTED not in said.out + said.err


@pytest.mark.slow
def test_without_the_run_the_decisions_own_sums_say_of_how_many(desk: Workspace) -> None:
    """A clone has no runs: what the decision rests on is shown, the rest is not."""
    for run in desk.runs:
        shutil.rmtree(run)
    text = plain(desk.relkit("card", "desk-asr").out)
    assert "The results of the run are not here" in text
    assert "| wer_capped | 5.0 % " in text
    assert "| wer | " not in text
    latency = "| latency_ms.p95 | not shown: of how many speakers it is, is not known here |"
    assert latency in text
    assert "what it was is not here" in text


HOSTILE = {
    "jinja": "{{ 7 * 7 }}{% raw %}",
    "html": "<script>alert(1)</script><img src=x onerror=y>",
    "markdown": "[x](javascript:alert(1)) **b** `c` | d",
    "heading": "# not a heading",
    "front": "--- evil: true",
}


@pytest.mark.slow
def test_what_people_wrote_stays_text(desk: Workspace) -> None:
    """Templates, markup and cells of a table in card.yaml do nothing in any format."""
    text = {"schema": "relkit.card/v1", "intended_use": " ".join(HOSTILE.values())}
    text |= {"limitations": [*HOSTILE.values()], "contact": HOSTILE["html"]}  # type: ignore[dict-item]
    (desk.folder / CARD).write_text(yaml.safe_dump(text), encoding="utf-8")
    said = desk.relkit("card", "desk-asr")
    assert said.code == 0, said.err
    assert "{{ 7" not in said.out.replace("\\", "").split("# desk-asr")[0]
    stated = said.out.split("## Intended use")[1].split("## Evaluation")[0]
    assert "7 \\* 7" in stated
    assert "49" not in stated
    assert "<script" not in said.out.split("# desk-asr")[1].replace("\\<script", "")
    assert "\n# not a heading" not in said.out
    matter = yaml.safe_load(said.out.split("---\n")[1])
    assert "evil" not in matter
    page = desk.relkit("card", "desk-asr", "--format", "html").out
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "<h1" in page
    assert "not a heading</h1>" not in page


@pytest.mark.slow
def test_a_team_has_a_template_of_its_own(desk: Workspace) -> None:
    """It is handed the card and its parts in words; a name that it does not know is an error."""
    own = desk.folder / "runbooks" / "templates" / "card.md.j2"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("# {{ title }} of ours\n{{ card.text.contact }}, {{ card.release.licence }}\n")
    assert desk.relkit("card", "desk-asr").out.endswith(
        "---\n\n# desk-asr 1.0.0 of ours\nspeech-team, CC0-1.0\n"
    )
    own.write_text("# {{ title }}\n{{ card.contact }}\n")
    said = desk.relkit("card", "desk-asr")
    assert (said.code, "runbooks/templates/card.md.j2, line 2" in said.err) == (2, True), said.err


@pytest.mark.slow
def test_a_check_of_a_card_with_much_left_open_can_be_read(desk: Workspace) -> None:
    """Its reason is cut to what a check may hold, and a gate reads it as a failed one."""
    risks = [{"risk": f"risk {number}"} for number in range(60)]
    text = {"schema": "relkit.card/v1", "risks": risks}
    (desk.folder / CARD).write_text(yaml.safe_dump(text), encoding="utf-8")
    assert desk.relkit("card", "desk-asr", "--strict", "--quiet").code == 1
    policy = desk.folder / "gates" / "first.yaml"
    required = "requires: [{name: card, max_age: 7d}]\n"
    policy.write_text(policy.read_text(encoding="utf-8") + required, encoding="utf-8")
    blocked = desk.relkit("gate", "first", "--candidate", desk.runs[-1].name)
    assert blocked.code == 1
    assert "left open: intended use (not stated)" in " ".join(blocked.out.split())
    page = (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")
    stated = page.split("```yaml registry/releases/desk-asr/1.0.0/card.yaml\n")[1].split("```")[0]
    (desk.folder / CARD).write_text(stated, encoding="utf-8")
    assert desk.relkit("card", "desk-asr", "--strict", "--quiet").code == 0
    assert desk.relkit("gate", "first", "--candidate", desk.runs[-1].name).code == 0


@pytest.mark.slow
def test_paper_needs_a_file(desk: Workspace) -> None:
    """Bytes of a PDF are never printed."""
    said = desk.relkit("card", "desk-asr", "--format", "pdf")
    assert (said.code, "--out FILE" in said.err) == (2, True)
