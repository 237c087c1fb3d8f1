"""Runbooks of the rollback story: every command in them runs, the same records give the same bytes.

The golden files are written again with: RELKIT_GOLDEN=1 pytest tests/e2e/test_runbooks.py
"""

import json
import os
import shlex
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import relkit
from relkit.adapters.workspace import SystemClock
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.core.errors import InvalidInput
from relkit.core.wording import percent
from relkit.documents.launch_view import launch_words
from relkit.documents.runbook_types import OpenPoints, RunbookFacts
from relkit.documents.runbooks import WORDED, read_facts
from relkit.gate.types import Verdict
from relkit.wiring.documents import runbook_ports
from relkit.wiring.stores import open_workspace
from tests.conftest import Said, Workspace
from tests.packet_data import packet
from tests.runbook_data import NOW, add_release, commands_of, write_story

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runbooks"

SUBJECTS = {"rollout": "asr@2.5", "rollback": "asr@2.4", "launch-review": "asr@2.5"}
"""Which release a kind is shown for; others are shown for what is live."""

RUN = frozenset({0, 1, 3, 4})
"""Exit codes of a command that did its work, whatever it had to say."""

_OF_TURNS = ("triage", "slo", "health", "drift", "cost", "capacity", "telemetry")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the story's workspace, which no test changes."""
    return write_story(tmp_path_factory.mktemp("story") / "assistant")


@pytest.fixture
def told(
    story: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """Give the story with its clock, to be read only."""
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    return Workspace(folder=story, capture=capsys)


def copied(story: Workspace, folder: Path) -> Workspace:
    """Return the story in a folder of its own, without its turns."""
    shutil.copytree(story.folder, folder, ignore=shutil.ignore_patterns("telemetry"))
    return Workspace(folder=folder, capture=story.capture)


def subject(kind: str) -> str:
    """Return the release that a kind is shown for."""
    return SUBJECTS.get(kind, "asr@2.4")


@pytest.mark.parametrize("kind", WORDED)
def test_a_runbook_is_as_it_was(told: Workspace, kind: str) -> None:
    """Held as golden files, made twice with the same bytes."""
    said = told.relkit("runbook", kind, subject(kind))
    assert (said.code, said.err) == (0, "")
    assert told.relkit("runbook", kind, subject(kind)).out == said.out
    golden = GOLDEN / f"{kind}.md"
    if os.environ.get("RELKIT_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said.out, encoding="utf-8")
    assert said.out == golden.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seen() -> dict[str, Said]:
    """Keep what commands said that only read turns: one run of each is enough."""
    return {}


@pytest.mark.parametrize("kind", WORDED)
def test_every_command_of_a_runbook_runs(
    told: Workspace,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: dict[str, Said],
) -> None:
    """In its order, or, of those that exclude each other, from where the story ends."""
    commands = commands_of(told.relkit("runbook", kind, subject(kind)).out)
    assert commands
    turns = told.folder / "telemetry"
    monkeypatch.setenv("TURNS", str(turns / "turns-2026-01-1[34].parquet"))
    monkeypatch.setenv("BEFORE", str(turns / "turns-2026-01-[01][0-25-9].parquet"))
    monkeypatch.setenv("PROMETHEUS", "http://127.0.0.1:9")
    in_order = copied(told, tmp_path / "in-order")

    def run(command: str, workspace: Workspace) -> Said:
        program, *arguments = shlex.split(os.path.expandvars(command))
        assert program == "relkit"
        monkeypatch.chdir(workspace.folder)
        return workspace.relkit(*arguments)

    for number, command in enumerate(commands):
        said = seen.get(command) or run(command, in_order)
        if command.split()[1] in _OF_TURNS:
            seen[command] = said
        if said.code not in RUN:
            said = run(command, copied(told, tmp_path / f"alone-{number}"))
        assert said.code in RUN, f"{command}\n{said.err}"


def test_a_page_and_paper_hold_the_same(told: Workspace, tmp_path: Path) -> None:
    """The page runs no script and fetches nothing; both have the same bytes twice."""
    pytest.importorskip("weasyprint")
    for form in ("html", "pdf"):
        files = [tmp_path / f"{number}.{form}" for number in (1, 2)]
        for file in files:
            said = told.relkit(
                *("runbook", "rollback", "asr@2.4", "--format", form, "--out", str(file), "--json")
            )
            assert (said.code, said.document["path"]) == (0, file.name)
            assert said.document["sha256"] == sha256(file.read_bytes()).hexdigest()
        assert files[0].read_bytes() == files[1].read_bytes()
    page = (tmp_path / "1.html").read_text(encoding="utf-8")
    assert "<title>Rollback: asr 2.4</title>" in page
    assert "relkit rollback asr --bad 2.4 --to 2.3 --apply" in page
    assert "<script" not in page
    assert (tmp_path / "1.pdf").read_bytes().startswith(b"%PDF")


def test_a_notebook_gets_the_same_documents(told: Workspace) -> None:
    """With what they leave open; nothing is written for them."""
    asked = relkit.runbook("rollback", "asr@2.4", workspace=told.folder)
    assert asked.text == told.relkit("runbook", "rollback", "asr@2.4").out
    card = relkit.card("asr@2.4", workspace=told.folder)
    assert card.text == told.relkit("card", "asr@2.4").out
    assert "evaluation" in card.not_measured


def test_steps_need_what_the_plan_of_the_canary_says(told: Workspace) -> None:
    """At a traffic so small that no step waits for its least time."""
    plan = told.relkit("canary", "asr-rollout", "--plan", "--turns-per-hour", "1", "--json")
    rows = told.relkit("runbook", "rollout", "asr@2.5").out.splitlines()
    for number, step in enumerate(plan.document["steps"], 1):
        row = next(line for line in rows if line.startswith(f"| {number} |"))
        assert f"| {step['turns']:,} |" in row
        assert f"| {step['waits_for']} |" in row


def test_a_look_at_live_traffic_is_in_the_next_runbook(told: Workspace, tmp_path: Path) -> None:
    """With its verdict and time, and no longer among what is not measured."""
    story = copied(told, tmp_path / "story")
    before = story.relkit("runbook", "post-release", "asr@2.4", "--json").document
    assert "what turns-answered (slo) says of live traffic" in before["not_measured"]
    turns = str(told.folder / "telemetry")
    assert story.relkit("slo", "turns-answered", "--telemetry", turns).code in RUN
    after = story.relkit("runbook", "post-release", "asr@2.4", "--json").document
    assert set(before["not_measured"]) - set(after["not_measured"]) == {
        "what turns-answered (slo) says of live traffic"
    }
    text = story.relkit("runbook", "post-release", "asr@2.4").out
    assert f"up to {NOW}" in text


def test_a_workspace_without_policies_says_so(told: Workspace, tmp_path: Path) -> None:
    """Nothing is left blank, and nothing is 0."""
    story = copied(told, tmp_path / "story")
    shutil.rmtree(story.folder / "gates")
    (story.folder / "gates").mkdir()
    rollout = story.relkit("runbook", "rollout", "asr@2.5", "--json").document
    assert "a canary policy of asr (a file in gates/)" in rollout["not_stated"]
    assert rollout["not_measured"] == ["the events that each step has to see"]
    assert "no canary policy of this workspace" in story.relkit("runbook", "rollout", "asr").out
    watched = story.relkit("runbook", "post-release", "asr@2.4")
    assert "No policy of live traffic lies in gates/" in watched.out
    assert "| not stated | not stated | not stated | not stated | not measured |" in watched.out
    for kind in WORDED:
        text = story.relkit("runbook", kind, subject(kind)).out
        assert not [line for line in text.splitlines() if "|  |" in line], kind


def test_a_rollout_by_means_alone_has_no_events(told: Workspace, tmp_path: Path) -> None:
    """No plan says how much a mean has to see: the table says so."""
    story = copied(told, tmp_path / "story")
    policy = story.folder / "gates" / "asr-rollout.yaml"
    text = policy.read_text(encoding="utf-8")
    start, end = text.index("triggers:"), text.index("limits:")
    means = "triggers:\n  - {id: cost, mean: cost, per: session, detectable: 20%}\n"
    policy.write_text(text[:start] + means + text[end:], encoding="utf-8")
    said = story.relkit("runbook", "rollout", "asr@2.5")
    assert "| x 5 | not measured | not measured | not measured | its means |" in said.out
    assert "- what a step has to see whose triggers are all means" in said.out


def test_a_policy_of_another_kind_is_named(told: Workspace, tmp_path: Path) -> None:
    """What a runbook does not read is on its list of what is not stated."""
    story = copied(told, tmp_path / "story")
    text = "schema: relkit.triage/v1\nname: ours\n"
    (story.folder / "gates" / "ours.yaml").write_text(text, encoding="utf-8")
    said = story.relkit("runbook", "rollback", "asr", "--json").document
    assert said["not_stated"] == ["what gates/ours.yaml says: runbooks do not read that kind"]


HOSTILE = "{{ 7 * 7 }} {% raw %} <b>bold</b> `code` | [link](http://example.org) # *x*"


def test_what_people_wrote_stays_text(told: Workspace, tmp_path: Path) -> None:
    """Jinja, HTML and Markdown in an owner's name are characters in every format."""
    story = copied(told, tmp_path / "story")
    at = "2026-01-14T11:00:00Z"
    add_release(story.folder, "asr", "2.6", at, owner=HOSTILE)
    text = story.relkit("runbook", "rollback", "asr@2.6").out
    assert "49" not in text
    assert "<b>" not in text
    page = story.relkit("runbook", "rollback", "asr@2.6", "--format", "html").out
    assert "{{ 7 * 7 }} {% raw %} &lt;b&gt;bold&lt;/b&gt; `code` | [link]" in page
    assert 'href="http://example.org' not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rolback", "asr"), 'no runbook "rolback"'),
        (("rollback", "asl"), 'no model "asl" in the registry'),
        (("rollback", "asr@9.9"), 'asr has no release "9.9"'),
        (("rollback", "asr@"), "no version after @"),
        (("rollback",), "which model?"),
        (("rollback", "asr", "--format", "pdf"), "--format pdf goes to a file"),
    ],
)
def test_what_nobody_knows_exits_2(
    told: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    """With what is nearest, or what there is."""
    said = told.relkit("runbook", *arguments)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert len(said.err.splitlines()) > 1


def test_an_empty_registry_has_no_runbook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how a release comes in."""
    (tmp_path / "relkit.yaml").write_text("name: empty\n", encoding="utf-8")
    said = Workspace(folder=tmp_path, capture=capsys).relkit("runbook", "rollback")
    assert (said.code, said.out) == (2, "")
    assert "no release is in the registry\n  relkit registry register RELEASE" in said.err


def test_a_yanked_release_is_not_rolled_out(told: Workspace, tmp_path: Path) -> None:
    """Its rollback is still written, and says since when it is yanked."""
    story = copied(told, tmp_path / "story")
    assert story.relkit("registry", "yank", "asr", "2.2", "--reason", "wrong labels").code == 0
    for kind in ("rollout", "post-release"):
        said = story.relkit("runbook", kind, "asr@2.2")
        assert said.code == 2
        assert f"asr 2.2 was yanked at {NOW}: no {kind} is written of it" in said.err
    said = story.relkit("runbook", "rollback", "asr@2.2")
    assert said.code == 0
    assert "| yanked | 2026-01-14T12" in said.out


def test_a_release_that_the_ledger_does_not_know_has_none(told: Workspace, tmp_path: Path) -> None:
    """A record alone says nothing about what is served."""
    story = copied(told, tmp_path / "story")
    releases = story.folder / "registry" / "releases" / "asr"
    shutil.copytree(releases / "2.5", releases / "2.7")
    said = story.relkit("runbook", "rollout", "asr@2.7")
    assert said.code == 2
    assert "asr 2.7 has a record, and the ledger does not know it" in said.err


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("turns-answered", "objective: 95%", "objective: 195%", "turns-answered.yaml, line 5"),
        ("asr-rollout", "rate: failed}", "rates: failed}", "asr-rollout.yaml, line 11"),
        ("serving", "schema: relkit.health/v1", "shema: relkit.health/v1", "serving.yaml, line 1"),
    ],
)
def test_a_broken_policy_is_refused(
    told: Workspace, tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    """With its file and line; no runbook is made of the others alone."""
    story = copied(told, tmp_path / "story")
    policy = story.folder / "gates" / f"{name}.yaml"
    text = policy.read_text(encoding="utf-8")
    assert old in text
    policy.write_text(text.replace(old, new, 1), encoding="utf-8")
    said = story.relkit("runbook", "rollback", "asr")
    assert (said.code, said.out) == (2, "")
    assert message in said.err


OWN = """\
{% extends "relkit/runbook-rollback.md.j2" %}
{% block contact %}
Call the person on duty; {{ decides }} decides.
{% endblock %}
"""


def test_a_template_of_the_team_takes_its_place(told: Workspace, tmp_path: Path) -> None:
    """It fills a block; an unknown name in it is an error with file, line and what is near."""
    story = copied(told, tmp_path / "story")
    own = story.folder / "runbooks" / "templates" / "runbook-rollback.md.j2"
    own.parent.mkdir(parents=True)
    own.write_text(OWN, encoding="utf-8")
    text = story.relkit("runbook", "rollback", "asr@2.5").out
    assert "Call the person on duty; speech team decides." in text
    assert "## What is left open" in text
    own.write_text(OWN.replace("decides }}", "decider }}"), encoding="utf-8")
    said = story.relkit("runbook", "rollback", "asr@2.5")
    assert (said.code, said.out) == (2, "")
    assert "runbooks/templates/runbook-rollback.md.j2, line 3: no decider here" in said.err
    assert "decides" in said.err


@pytest.fixture(scope="module")
def reviewed(story: Path) -> RunbookFacts:
    """Give what the launch review of the canary is made from."""
    return read_facts("launch-review", "asr@2.5", runbook_ports(open_workspace(story)))


def decided(facts: RunbookFacts, **changes: Any) -> RunbookFacts:  # noqa: ANN401 - of a decision
    """Return facts with another launch decision, signed by a trusted key and passed if not told."""
    assert facts.launch is not None
    policy = changes.pop("policy", facts.launch.policy)
    signers = changes.pop("signers", ("3f2a" * 16,))
    refused = changes.pop("refused", None)
    decision = replace(facts.launch.decision, **{"verdict": Verdict.PASS, "results": (), **changes})
    launch = replace(
        facts.launch,
        decision=decision,
        policy=policy,
        policy_digest=decision.policy.digest,
        signers=signers,
        refused=refused,
    )
    return replace(facts, launch=launch)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "ready; launch-readiness: pass"),
        ({"verdict": Verdict.FAIL}, "not ready (the verdict is fail)"),
        ({"verdict": Verdict.NO_DATA}, "not ready (the verdict is no_data)"),
        ({"verdict": Verdict.INCONCLUSIVE}, "not ready (the verdict is inconclusive)"),
        ({"expires": "2026-01-14T10:00:00Z"}, "not ready (it expired at 2026-01-14T10:00:00Z)"),
        ({"refused": "the signature is not good", "signers": ()}, "(the signature is not good)"),
        ({"policy": None}, "(the policy launch-readiness is not in this workspace)"),
    ],
)
def test_only_a_good_decision_reads_ready(
    reviewed: RunbookFacts, changes: dict[str, Any], words: str
) -> None:
    """The last line of the review is the record's verdict, and why it lets nothing launch."""
    assert words in launch_words(decided(reviewed, **changes))


def test_a_launch_has_to_be_signed_and_enforced_where_its_policy_says_so(
    reviewed: RunbookFacts,
) -> None:
    """An unsigned record, a shadow one and one by a policy that was changed are not ready."""
    assert reviewed.launch is not None
    assert reviewed.launch.policy is not None
    signed = replace(reviewed.launch.policy, signature="required")
    unsigned = decided(reviewed, policy=signed, signers=())
    assert "not ready (no trusted key has signed it)" in launch_words(unsigned)
    shadow = replace(reviewed.launch.decision.policy, enforcement="shadow")
    facts = replace(
        reviewed,
        launch=replace(
            reviewed.launch,
            decision=replace(reviewed.launch.decision, policy=shadow),
            policy_digest="sha256:other",
        ),
    )
    words = launch_words(facts)
    assert "in shadow, and decides nothing" in words
    assert "the policy launch-readiness has changed since" in words
    assert launch_words(replace(reviewed, launch=None)) == "not decided"


def test_a_launch_that_nobody_decided_says_how(told: Workspace, tmp_path: Path) -> None:
    """Without a decision, or with one of another release, the last line says so."""
    alone = copied(told, tmp_path / "alone")
    said = alone.relkit("runbook", "launch-review", "asr@2.4")
    assert said.code == 0
    assert said.out.endswith("\nLaunch decision: not decided.\n")
    assert "relkit gate launch-readiness --candidate " in said.out
    shutil.rmtree(alone.folder / ".relkit" / "decisions")
    said = alone.relkit("runbook", "launch-review", "asr@2.5", "--json")
    open_points = said.document["not_measured"]
    assert "whether it may launch: no decision of such a policy is here" in open_points


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("schema: relkit.degradation/v1\nstep: []\n", 'line 2: unknown key "step"'),
        ("schema: relkit.degradation/v1\ntimeouts_ms: {asr: 5}\n", "line 2: "),
        ("schema: relkit.degradation/v1\ntimeouts_ms: {asr_ms: 0}\n", "line 2: "),
        ("schema: relkit.degradation/v1\nsteps: [{at: now}]\n", "switch_off"),
        ("steps: []\n", "schema"),
        ("", "is empty"),
        ("a: &a [*a]\n", "runbooks/degradation.yaml"),
    ],
)
def test_what_people_wrote_is_read_strictly(
    told: Workspace, tmp_path: Path, text: str, why: str
) -> None:
    """One message with the file, and no other runbook is stopped by it."""
    alone = copied(told, tmp_path / "alone")
    (alone.folder / "runbooks" / "degradation.yaml").write_text(text, encoding="utf-8")
    said = alone.relkit("runbook", "degradation", "asr")
    assert said.code == 2
    assert "runbooks/degradation.yaml" in said.err
    assert why in said.err
    assert "Traceback" not in said.err
    assert alone.relkit("runbook", "handoff", "asr").code == 0


def test_a_workspace_that_says_nothing_reads_not_stated(told: Workspace, tmp_path: Path) -> None:
    """Without policies, plan and packets nothing is blank, and nothing is 0."""
    alone = copied(told, tmp_path / "alone")
    shutil.rmtree(alone.folder / "gates")
    (alone.folder / "runbooks" / "degradation.yaml").unlink()
    shutil.rmtree(alone.folder / ".relkit" / "incidents")
    (alone.folder / "gates").mkdir()
    for kind, words in (
        ("launch-review", "Launch decision: not decided."),
        ("degradation", "Not stated: people write it in"),
        ("handoff", "No packet of an incident that is not resolved is here."),
        ("postmortem", "Not measured: no packet of an incident of asr 2.4 is out."),
    ):
        said = alone.relkit("runbook", kind, "asr@2.4")
        assert (said.code, words in said.out) == (0, True), kind
        assert "|  |  |" not in said.out.replace("| | |", "")


def test_a_handoff_has_what_is_open(told: Workspace, tmp_path: Path) -> None:
    """The newest look and what it left of the budget are in it, a resolved incident is not."""
    alone = copied(told, tmp_path / "alone")
    turns = str(told.folder / "telemetry" / "turns-2026-01-14.parquet")
    alone.relkit("slo", "turns-answered", "--telemetry", turns, "--now", NOW)
    said = alone.relkit("runbook", "handoff", "asr@2.4")
    assert "turns-answered (slo)" in said.out
    finding = next(iter((alone.folder / ".relkit" / "findings" / "slo").glob("*.json")))
    left = json.loads(finding.read_text())["report"]["budget_left"]
    words = "not measured" if left is None else percent(left)
    assert f"left of its error budget {words}." in said.out.replace("\\", "")
    packets = next((alone.folder / ".relkit" / "incidents").glob("*/packets"))
    file = next(packets.glob("*.packet.json"))
    closed = Envelope(payload=render_statement(packet(status="resolved")))
    file.write_bytes(render_envelope(closed))
    said = alone.relkit("runbook", "handoff", "asr@2.4")
    assert "No packet of an incident that is not resolved is here." in said.out
    file.write_text("{}", encoding="utf-8")
    assert alone.relkit("runbook", "handoff", "asr@2.4").code == 2
    assert alone.relkit("runbook", "rollback", "asr@2.4").code == 0


def test_a_postmortem_tells_of_people_what_its_packet_tells(told: Workspace) -> None:
    """No name of the ledger, no reason of a look, no owner: the bands of the packet alone."""
    said = told.relkit("runbook", "postmortem", "asr@2.4")
    assert "50 to 99" in said.out
    for word in ("speech team", "simulation", " ci", "by ci", "reason"):
        assert word not in said.out


def test_a_release_that_was_rolled_back_is_no_fallback(told: Workspace, tmp_path: Path) -> None:
    """What had the traffic before says that it was removed, and the timeline is in its order."""
    story = copied(told, tmp_path / "story")
    back = story.relkit("rollback", "asr", "--bad", "2.4", "--apply", "--reason", "it is bad")
    assert back.code == 0, back.err
    for kind in ("handoff", "degradation"):
        assert "| 2.4, removed as bad |" in story.relkit("runbook", kind, "asr").out
    lines = story.relkit("runbook", "postmortem", "asr@2.4").out.splitlines()
    rows = [line.split(" | ")[1:] for line in lines if line.startswith("| 2026-")]
    happened = [(what, of.removesuffix(" |")) for what, of in rows]
    order = [
        happened.index((what, "asr 2.4")) for what in ("registered", "promoted to full traffic")
    ]
    assert order == sorted(order)
    assert any(what == "rolled back to" and of != "asr 2.4" for what, of in happened)
    assert not any(what == "rolled back" for what, _ in happened)


def test_no_name_that_reads_as_a_personal_value_is_in_a_postmortem(told: Workspace) -> None:
    """It leaves the team, so that it is refused as a packet is, and never masked."""
    facts = read_facts("postmortem", "asr@2.4", runbook_ports(open_workspace(told.folder)))
    for named in (replace(facts, model="asr.example.com"), replace(facts, version="555-234-4567")):
        with pytest.raises(InvalidInput, match="reads as a personal value"):
            WORDED["postmortem"](named, OpenPoints())
