"""The registry through the command line, with real runs, gates and signatures."""

import json
import multiprocessing
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.releases import ArtifactFiles
from relkit.adapters.signing import make_key
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.attestation.envelopes import parse_envelope, render_envelope
from relkit.attestation.exceptions import OverrideOptions
from relkit.cli.boundary import run
from relkit.core.digests import canonical
from relkit.core.errors import BackendUnavailable, Busy
from relkit.registry.promote import PromoteOptions
from relkit.registry.types import Release, RequiredModel
from relkit.wiring import registry
from relkit.wiring.gate import override
from relkit.wiring.stores import open_workspace
from tests.conftest import Said, Workspace

SUITE = """\
schema: relkit.suite/v1
name: {name}
dataset: {{name: assistant-commands}}
normalizer: english
metrics: [wer, wer_capped]
slices: [accent]
system: {{kind: recorded, path: models/{name}.jsonl}}
"""
POLICY = """\
schema: relkit.gate/v1
name: {name}
{more}
rules:
  - {{id: wer, metric: wer_capped, test: bound, max: {max}}}
"""
STACK_POLICY = """\
schema: relkit.gate/v1
name: launch
parts: {asr: own, llm: own}
"""
RELEASE = """\
schema: relkit.release/v1
model: {model}
version: "{version}"
component: {component}
owner: speech team
licence: Apache-2.0
artifact: {{root: models/{name}.jsonl}}
run: {run}
interface: {{sample_rate_hz: 16000, languages: [en]}}
{more}
"""


def said(*arguments: str, folder: Path) -> None:
    """Run a command that has to do what it is asked."""
    code = run([*arguments, "--quiet", "--workspace", str(folder)])
    assert code in {0, 1, 3}, arguments


@dataclass(frozen=True)
class Base:
    """A workspace with runs and decisions, made once."""

    folder: Path
    runs: dict[str, str]
    decisions: dict[str, Path] = field(default_factory=dict)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Give two runs, and decisions of each kind about them."""
    folder = tmp_path_factory.mktemp("registry") / "workspace"
    write_scaffold(folder, scaffold_source())
    private, public = make_key(folder / "keys", {})
    marker = folder / "relkit.yaml"
    keys = f"signing: {{keys: [{public.relative_to(folder)}]}}\n"
    marker.write_text(marker.read_text(encoding="utf-8") + keys, encoding="utf-8")
    manifest = folder / "datasets" / "assistant-commands" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    (folder / "models").mkdir()
    runs = {}
    for name in ("one", "two"):
        latency = 300 if name == "one" else 400  # what makes the two files different
        # A system without any error would be doubted: one answer in ten has a word too many.
        answers = [
            {"id": row["id"], "text": row["text"] + " so" * (i % 10 == 0), "latency_ms": latency}
            for i, row in enumerate(rows)
        ]
        (folder / "models" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, answers)))
        (folder / "eval" / "suites" / f"{name}.yaml").write_text(SUITE.format(name=name))
        said("eval", name, folder=folder)
        made = sorted((folder / ".relkit" / "runs").glob("*/"), key=lambda p: p.stat().st_ctime_ns)
        runs[name] = made[-1].name
    policies = {
        "own": ("", 0.2),
        "expired": ("valid_for: 1s", 0.2),
        "shadow": ("enforcement: shadow", 0.2),
        "strict": ("", 0.000001),
        "signed": ("signature: required", 0.2),
        "changed": ("", 0.2),
        "gone": ("", 0.2),
    }
    for name, (more, limit) in policies.items():
        text = POLICY.format(name=name, more=more, max=limit)
        (folder / "gates" / f"{name}.yaml").write_text(text)
    (folder / "gates" / "launch.yaml").write_text(STACK_POLICY)
    decisions = folder / "decisions"
    decisions.mkdir()
    one = ("--candidate", runs["one"])
    asked: dict[str, tuple[str, ...]] = {name: (name, *one) for name in policies}
    asked["by-key"] = ("signed", *one, "--sign", str(private))
    asked["two"] = ("own", "--candidate", runs["two"])
    parts = ("--candidate", f"asr={runs['one']}", "--candidate", f"llm={runs['two']}")
    asked["stack"] = ("launch", *parts)
    for name, arguments in asked.items():
        path = decisions / f"{name}.json"
        said("gate", *arguments, "--decision", str(path), folder=folder)
        assert path.is_file(), name
    (folder / "gates" / "changed.yaml").write_text(POLICY.format(name="changed", more="", max=0.5))
    (folder / "gates" / "gone.yaml").unlink()
    return Base(folder=folder, runs=runs)


@dataclass(frozen=True, slots=True)
class Registry:
    """A copy of the workspace, without its dataset."""

    workspace: Workspace
    runs: dict[str, str]

    @property
    def folder(self) -> Path:
        """The workspace's folder."""
        return self.workspace.folder

    def relkit(self, *arguments: str) -> Said:
        """Run ``relkit registry …``."""
        return self.workspace.relkit("registry", *arguments)

    def release(self, version: str = "1.0.0", **fields: str) -> Path:
        """Write what a release is registered from."""
        given = {"model": "asr", "component": "asr", "name": "one", "more": "", **fields}
        path = self.folder / f"{given['model']}-{version}.yaml"
        text = RELEASE.format(version=version, run=self.runs[given["name"]], **given)
        path.write_text(text, encoding="utf-8")
        return path

    def register(self, version: str = "1.0.0", **fields: str) -> Said:
        """Register a release."""
        done = self.relkit("register", str(self.release(version, **fields)), "--json")
        assert done.code == 0, done.out
        return done

    def promote(self, version: str, decision: str, *more: str, model: str = "asr") -> Said:
        """Promote by a decision of the base."""
        path = self.folder / "decisions" / f"{decision}.json"
        return self.relkit("promote", model, version, "--decision", str(path), *more)

    @property
    def ledger(self) -> Path:
        """The ledger of asr."""
        return self.folder / "registry" / "events" / "asr.jsonl"

    def events(self) -> list[dict[str, Any]]:
        """Return the events of asr."""
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


@pytest.fixture
def reg(base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Registry:
    """Give a copy to change."""
    folder = tmp_path / "copy"
    shutil.copytree(base.folder, folder, ignore=shutil.ignore_patterns("datasets"))
    return Registry(workspace=Workspace(folder=folder, capture=capsys), runs=base.runs)


def test_register_completes_checks_and_keeps(reg: Registry) -> None:
    """Digests are computed, the run's report and dataset filled in; again, nothing changes."""
    first = reg.register().document
    release = reg.folder / "registry" / "releases" / "asr" / "1.0.0"
    document = json.loads((release / "release.json").read_text())
    assert first["registered"] is True
    assert document["artifact"]["files"] == {"one.jsonl": first["artifact"]}
    assert document["lineage"][0]["dataset"] == "assistant-commands"
    assert (release / "report.json").is_file()
    before = (release / "release.json").read_bytes(), reg.ledger.read_bytes()
    again = reg.register().document
    assert (again["registered"], again["digest"]) == (False, first["digest"])
    assert before == ((release / "release.json").read_bytes(), reg.ledger.read_bytes())
    by_json = reg.relkit("register", str(release / "release.json"))
    assert (by_json.code, "unchanged" in by_json.err) == (0, True)


def test_a_version_never_gets_another_digest(reg: Registry) -> None:
    """Exit 2, the reason, and nothing is written."""
    reg.register()
    before = reg.ledger.read_bytes()
    other = reg.relkit("register", str(reg.release(more="runtime: another")))
    assert other.code == 2
    assert "it is registered with another digest" in other.err
    assert reg.ledger.read_bytes() == before


def test_register_says_every_defect_with_its_line(reg: Registry) -> None:
    """One message, all of it, and no release."""
    path = reg.release(component="asrr", more="typo: 1\nrequires: {llm: '>>1'}")
    done = reg.relkit("register", str(path))
    assert done.code == 2
    for line, what in ((4, '"component"'), (10, 'unknown key "typo"')):
        assert f"asr-1.0.0.yaml, line {line}: {what}" in done.err
    assert not (reg.folder / "registry" / "releases").exists()


@pytest.mark.parametrize(
    ("more", "said_"),
    [
        ({"name": "one", "more": "report: sha256:" + "0" * 64}, None),
        ({"name": "one", "more": "kind: hosted"}, 'the release is "files"'),
    ],
)
def test_register_warns_of_evidence_that_is_not_here(
    reg: Registry, more: dict[str, str], said_: str | None
) -> None:
    """A digest without its document is taken and told; a contradiction is refused."""
    done = reg.relkit("register", str(reg.release(**more)))
    assert done.code == (0 if said_ is None else 2)
    assert (said_ or "is not here: put it beside the release") in done.err


REFUSED = [
    ("two", "it is not about the artifact of asr 1.0.0"),
    ("expired", "it expired at"),
    ("shadow", "enforcement is shadow: such a decision never promotes"),
    ("strict", "the verdict is "),
    ("signed", "requires a signature, and no trusted key has signed it"),
    ("changed", "the policy changed no longer matches its digest"),
    ("gone", "the policy gone is not in this workspace"),
    ("stack", "it is about another artifact"),
]


@pytest.mark.parametrize(("decision", "why"), REFUSED)
def test_a_decision_that_does_not_let_it_go(reg: Registry, decision: str, why: str) -> None:
    """Exit 2 with the reason; the ledger is as it was, also for a canary."""
    reg.register()
    if decision == "expired":
        time.sleep(2.1)  # it was valid for a second, and times are whole seconds
    before = reg.ledger.read_bytes()
    for more in ((), ("--canary", "5%")):
        done = reg.promote("1.0.0", decision, *more)
        assert done.code == 2, done.out
        assert why in done.err
    assert reg.ledger.read_bytes() == before


def test_a_decision_that_was_edited_is_not_believed(reg: Registry) -> None:
    """A verdict turned by hand does not follow from the evidence."""
    reg.register()
    path = reg.folder / "decisions" / "strict.json"
    envelope = parse_envelope(path.read_bytes(), source="x")
    payload = json.loads(envelope.payload)
    payload["predicate"].update(verdict="pass", promotable=True, not_promotable=[], reason_codes=[])
    path.write_bytes(render_envelope(replace(envelope, payload=canonical(payload))))
    done = reg.promote("1.0.0", "strict")
    assert done.code == 2
    assert "does not let asr 1.0.0 be promoted" in done.err


@pytest.mark.parametrize("decision", ["own", "by-key"])
def test_a_promotion_is_recorded_with_its_decision(reg: Registry, decision: str) -> None:
    """Signed where the policy asks for it; the decision lies beside the release."""
    reg.register()
    done = reg.promote("1.0.0", decision, "--by", "ann", "--json")
    assert done.code == 0, done.out
    assert done.document["live"] == "1.0.0"
    event = reg.events()[-1]
    assert (event["kind"], event["traffic"], event["by"]) == ("promoted", 1, "ann")
    name = f"decision-{event['decision'].removeprefix('sha256:')[:16]}.json"
    assert (reg.folder / "registry" / "releases" / "asr" / "1.0.0" / name).is_file()
    assert reg.relkit("verify", "asr").code == 0


def test_canary_hold_promote_and_history(reg: Registry) -> None:
    """Each step is an event, and history says what was served by share of traffic."""
    reg.register("1.0.0")
    reg.register("1.1.0", name="two")
    assert reg.promote("1.0.0", "own").code == 0
    assert reg.promote("1.1.0", "two", "--canary", "5").code == 0
    assert reg.promote("1.1.0", "two", "--canary", "25%").code == 0
    held = reg.relkit("promote", "asr", "1.1.0", "--hold", "--reason", "slow", "--json")
    assert (held.code, held.document["event"], held.document["traffic"]) == (0, "held", 0.25)
    assert reg.promote("1.1.0", "two").code == 0
    document = reg.relkit("history", "asr", "--json").document
    spans = [(one["version"], one["share"]) for one in document["served"]]
    assert spans == [
        ("1.0.0", 1),
        ("1.0.0", 0.95),
        ("1.1.0", 0.05),
        ("1.0.0", 0.75),
        ("1.1.0", 0.25),
        ("1.1.0", 1),
    ]
    assert (document["live"], document["previous"]) == ("1.1.0", "1.0.0")
    table = reg.relkit("history", "asr").out
    assert "asr: 1.1.0 has 100 % of the traffic" in table
    assert "held" in table


def test_an_override_stands_for_the_verdict_alone(reg: Registry) -> None:
    """Signed and about this decision it lets the release go, and that stays in the ledger."""
    reg.register()
    decision = reg.folder / "decisions" / "strict.json"
    path = signed_override(reg, decision)
    other = reg.promote("1.0.0", "own", "--override", str(path))
    assert other.code == 2
    assert "there is nothing to override" in other.err
    assert "about another decision" in other.err
    done = reg.promote("1.0.0", "strict", "--override", str(path), "--json")
    assert done.code == 0, done.out
    assert done.document["overridden"] is True
    assert [one["kind"] for one in reg.events()] == ["registered", "overridden", "promoted"]
    assert "incident 7 (OPS-7" in reg.events()[-1]["reason"]
    assert reg.relkit("verify").code == 0


def signed_override(reg: Registry, decision: Path) -> Path:
    """Sign an override with the workspace's key."""
    options = OverrideOptions(
        decision=decision,
        by="ann",
        reason="incident 7",
        ticket="OPS-7",
        sign=reg.folder / "keys" / "relkit.key",
        valid_for_s=3600.0,
    )
    return override(open_workspace(reg.folder), options)[0]


def test_a_stack_is_promoted_by_a_decision_about_all_it_pins(reg: Registry) -> None:
    """Every component's artifact was judged, and nothing else."""
    reg.register("1.0.0")
    reg.register("3.0.0", model="chat", component="llm", name="two")
    stack = reg.folder / "stack.json"
    document = {
        "schema": "relkit.release/v1",
        "model": "voice",
        "version": "7",
        "component": "stack",
        "owner": "team",
        "pins": {"asr": "1.0.0", "chat": "3.0.0"},
    }
    stack.write_text(json.dumps(document))
    assert reg.relkit("register", str(stack)).code == 0
    refused = reg.promote("7", "own", model="voice")
    assert refused.code == 2
    assert "it is not about the artifact of chat 3.0.0" in refused.err
    done = reg.promote("7", "stack", model="voice")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "asx"),
        ("verify", "asx"),
        ("yank", "asx", "1.0.0", "--reason", "x"),
        ("promote", "asx", "1.0.0", "--decision", "decisions/own.json"),
        ("promote", "asx", "1.0.0", "--hold", "--reason", "x"),
    ],
)
def test_an_unknown_model_is_a_typing_error(
    reg: Registry, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, and the nearest name."""
    reg.register()
    monkeypatch.chdir(reg.folder)
    done = reg.relkit(*arguments)
    assert (done.code, 'no model "asx"' in done.err) == (2, True), done.err
    assert 'did you mean "asr"?' in done.err


def test_an_unknown_version_names_those_there_are(reg: Registry) -> None:
    """Exit 2."""
    reg.register()
    done = reg.relkit("yank", "asr", "9", "--reason", "x")
    assert done.code == 2
    assert 'asr has no version "9" in its ledger' in done.err
    assert "registered last: 1.0.0" in done.err


def test_yank_and_restore(reg: Registry) -> None:
    """A yanked version is never promoted; one that is served says so and stays served."""
    reg.register("1.0.0")
    reg.register("1.1.0")
    reg.promote("1.0.0", "own")
    assert reg.relkit("yank", "asr", "1.1.0", "--reason", "labels").code == 0
    refused = reg.promote("1.1.0", "own")
    assert (refused.code, "it is yanked" in refused.err) == (2, True)
    back = reg.relkit("yank", "asr", "1.1.0", "--restore", "--reason", "wrong alarm", "--json")
    assert back.document["event"] == "restored"
    live = reg.relkit("yank", "asr", "1.0.0", "--reason", "labels")
    assert "relkit rollback asr --bad 1.0.0" in live.err
    assert reg.relkit("history", "asr", "--json").document["live"] == "1.0.0"
    empty = reg.relkit("yank", "asr", "1.1.0", "--reason", "")
    assert empty.code == 2


def test_validate_says_all_problems_at_once(reg: Registry) -> None:
    """Over all releases and ledgers, each with file and line; exit 1."""
    reg.register("1.0.0", more="requires: {llm: '>=2'}")
    reg.register("1.1.0", name="two")
    folder = reg.folder / "registry" / "releases"
    broken = folder / "asr" / "1.1.0" / "release.json"
    text = broken.read_text().replace('"component": "asr"', '"component": "ear"')
    broken.write_text(text.replace('"licence"', '"license"'))
    stack = folder / "voice" / "1"
    stack.mkdir(parents=True)
    document = {
        "schema": "relkit.release/v1",
        "model": "voice",
        "version": "1",
        "component": "stack",
        "created": "2026-01-31T12:00:00Z",
        "owner": "team",
        "pins": {"asr": "1.0.0", "tts": "5"},
    }
    (stack / "release.json").write_text(json.dumps(document, indent=1))
    (reg.folder / "models" / "one.jsonl").write_text("changed")
    (folder / "asr" / "1.0.0" / "report.json").unlink()
    done = reg.relkit("validate", "--json")
    assert done.code == 1
    found = {
        (p["file"].removeprefix("registry/releases/"), p["line"]) for p in done.document["problems"]
    }
    said_ = " ".join(p["message"] for p in done.document["problems"])
    assert {("asr/1.1.0/release.json", 5), ("voice/1/release.json", 10)} <= found
    for what in (
        "requires llm >=2, which no release satisfies",
        "the artifact does not verify: models/one.jsonl does not have its digest",
        "the report sha256:",
        '"component"',
        'unknown key "license"',
        "pins tts 5, which does not exist",
        "requires llm >=2, and does not pin it",
        "was never registered",
    ):
        assert what in said_, what
    assert all(
        p["line"] for p in done.document["problems"] if "never registered" not in p["message"]
    )
    people = reg.relkit("validate", "--no-artifacts")
    assert people.code == 1
    assert "does not verify" not in people.out


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a ledger."""
    return path.read_bytes().splitlines(keepends=True)


Change = Callable[[Registry], None]


def edit(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    """Return a change of the ledger's lines."""

    def changed(reg: Registry) -> None:
        reg.ledger.write_bytes(b"".join(change(lines_of(reg.ledger))))

    return changed


def in_release(name: str, old: str, new: str) -> Change:
    """Return a change of a file beside the release."""

    def changed(reg: Registry) -> None:
        (path,) = (reg.folder / "registry" / "releases" / "asr" / "1.0.0").glob(name)
        path.write_text(path.read_text().replace(old, new))

    return changed


def in_models(name: str) -> Change:
    """Return a change of an artifact."""

    def changed(reg: Registry) -> None:
        (reg.folder / "models" / name).write_text("x")

    return changed


TAMPERED: list[tuple[str, Change, str, bool]] = [
    ("edited", edit(lambda x: [x[0], x[1].replace(b"own", b"OWN"), *x[2:]]), "was edited", False),
    ("reordered", edit(lambda x: [x[1], x[0], *x[2:]]), "reordered", True),
    ("truncated", edit(lambda x: x[:2]), "truncated: the .head file names event 3", False),
    ("duplicated", edit(lambda x: [*x, x[1]]), "duplicated", True),
    ("removed", edit(lambda x: [x[0], x[2]]), "removed before it", False),
    ("torn", edit(lambda x: [*x, x[1][:50]]), "the last line is torn", True),
    (
        "another release",
        in_release("release.json", "speech team", "another team"),
        "is not the release that was registered",
        False,
    ),
    (
        "another decision",
        in_release("decision-*.json", '"payload":"ey', '"payload":"eY'),
        "of event 2 is not kept",
        False,
    ),
    (
        "another artifact",
        in_models("one.jsonl"),
        "the artifact does not verify",
        False,
    ),
]


@pytest.mark.parametrize(("change", "said_", "mended"), [one[1:] for one in TAMPERED])
def test_verify_finds_what_was_done(
    reg: Registry, change: Change, said_: str, *, mended: bool
) -> None:
    """Exit 1 and its name; repair mends what is certain and nothing else."""
    reg.register("1.0.0")
    reg.promote("1.0.0", "own")
    reg.register("1.1.0", name="two")
    good = reg.ledger.read_bytes()
    sound = reg.relkit("verify", "--json")
    assert (sound.code, sound.document["valid"], sound.document["events"]) == (0, True, 3)
    change(reg)
    found = reg.relkit("verify", "--json")
    assert (found.code, found.document["valid"]) == (1, False)
    assert any(said_ in one for one in found.document["problems"]), found.document
    repaired = reg.relkit("verify", "--repair", "--json")
    assert repaired.code == (0 if mended else 1)
    assert bool(repaired.document["repaired"]) is mended
    if mended:
        assert reg.ledger.read_bytes() == good
        assert reg.relkit("verify").code == 0


def test_a_broken_ledger_stops_every_verb(reg: Registry) -> None:
    """Nothing is planned on what is not proved: exit 2 and where it is broken."""
    reg.register("1.0.0")
    reg.promote("1.0.0", "own")
    edit(lambda x: [x[0].replace(b"registered", b"verified"), *x[1:]])(reg)
    for arguments in (("history", "asr"), ("yank", "asr", "1.0.0", "--reason", "x")):
        done = reg.relkit(*arguments)
        assert done.code == 2
        assert "asr.jsonl, line 1: was edited" in done.err


def test_a_crash_between_file_and_event_is_finished_by_registering_again(reg: Registry) -> None:
    """Validate names it with what to do."""
    path = reg.release()
    reg.register("1.0.0")
    reg.ledger.unlink()
    reg.ledger.with_suffix(".head").unlink()
    found = reg.relkit("validate")
    assert (found.code, "was never registered" in " ".join(found.out.split())) == (1, True)
    assert reg.relkit("register", str(path)).code == 0
    assert reg.relkit("validate").code == 0


def test_a_fresh_verification_of_what_has_no_gate_is_recorded(reg: Registry) -> None:
    """Rollback goes to an imported release only after one; others need none."""
    reg.register("1.0.0", more="attested: legacy")
    reg.register("1.1.0", name="two")
    assert reg.relkit("verify", "--json").document["recorded"] == []
    done = reg.relkit("verify", "asr", "--record", "--by", "ann", "--json")
    assert (done.code, done.document["recorded"]) == (0, ["asr 1.0.0"])
    assert (reg.events()[-1]["kind"], reg.events()[-1]["by"]) == ("verified", "ann")
    (reg.folder / "models" / "one.jsonl").write_text("x")
    again = reg.relkit("verify", "asr", "--record", "--json")
    assert (again.code, again.document["recorded"]) == (1, [])
    assert len(reg.events()) == 3


def compete(folder: str, version: str, start: Any) -> None:  # noqa: ANN401  # an Event of its context
    """Promote with others; exit 7 where another one won."""
    settings = open_workspace(Path(folder))
    start.wait()
    decision = Path(folder) / "decisions" / "own.json"
    try:
        options = PromoteOptions(model="asr", version=version, decision=decision, by="ann")
        registry.promote(settings, options)
    except Busy:
        raise SystemExit(7) from None
    except Exception:  # noqa: BLE001 - a process that read after the winner plans from there
        raise SystemExit(8) from None


def test_of_promotions_at_once_every_one_is_in_the_ledger_or_refused(reg: Registry) -> None:
    """A promotion wins whole or is told that the ledger has gone on; the chain stays whole."""
    for number in range(4):
        reg.register(f"1.{number}.0")
    context = multiprocessing.get_context("fork")
    start = context.Event()
    many = [
        context.Process(target=compete, args=(str(reg.folder), f"1.{number}.0", start))
        for number in range(4)
    ]
    for one in many:
        one.start()
    start.set()
    for one in many:
        one.join()
    won = [one.exitcode for one in many].count(0)
    promoted = [one for one in reg.events() if one["kind"] == "promoted"]
    assert won == len(promoted) >= 1
    assert {one.exitcode for one in many} <= {0, 7}
    before = [None, *(one["version"] for one in promoted)]
    assert [one.get("from_version") for one in promoted] == before[:-1]
    assert reg.relkit("verify").code == 0


def test_a_promotion_that_was_overtaken_is_refused(
    reg: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two plans from the same state: the first to append wins, the other exits 2 and names it."""
    reg.register("1.0.0")
    reg.register("1.1.0")
    settings = open_workspace(reg.folder)
    decision = reg.folder / "decisions" / "own.json"
    verify = ArtifactFiles.verify

    def overtaken(self: ArtifactFiles, release: Release) -> str | None:
        monkeypatch.setattr(ArtifactFiles, "verify", verify)
        options = PromoteOptions(model="asr", version="1.1.0", decision=decision, by="bob")
        registry.promote(settings, options)
        return verify(self, release)

    monkeypatch.setattr(ArtifactFiles, "verify", overtaken)
    done = reg.promote("1.0.0", "own")
    assert done.code == 2
    assert "has changed since it was read: event 3 (promoted 1.1.0" in done.err
    assert [one["version"] for one in reg.events() if one["kind"] == "promoted"] == ["1.1.0"]


@dataclass
class MemoryMirror:
    """A mirror that keeps what it was told, and can be down."""

    down: bool = False
    told: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def compare(self, required: RequiredModel) -> tuple[str, ...]:
        """Say where it differs."""
        said_ = self._aliases(required)
        there = self.told.get(required.model)
        return () if there == said_ else (f"{required.model}: champion is {there}, not {said_}",)

    def repair(self, required: RequiredModel) -> tuple[str, ...]:
        """Say what the ledger says."""
        differing = self.compare(required)
        self.told[required.model] = self._aliases(required)
        return differing

    def _aliases(self, required: RequiredModel) -> tuple[str | None, str | None]:
        if self.down:
            raise BackendUnavailable("the mirror did not answer")
        return required.aliases["champion"], required.aliases["previous"]


def test_the_event_is_safe_before_the_mirror_is_told(
    reg: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down: exit 5 and the event stays; verify finds it, and --repair finishes."""
    mirror = MemoryMirror()
    monkeypatch.setattr(registry, "mirror", lambda _settings: mirror)
    reg.register()
    mirror.down = True
    done = reg.promote("1.0.0", "own")
    assert done.code == 5
    assert "event 2 is in the ledger, and the mirror was not told" in done.err
    assert "relkit registry verify asr --repair" in done.err
    assert reg.relkit("history", "asr", "--json").document["live"] == "1.0.0"
    mirror.down = False
    assert reg.relkit("verify").code == 1
    repaired = reg.relkit("verify", "--repair", "--json")
    assert (repaired.code, repaired.document["mirror"]) == (0, "compared")
    assert mirror.told["asr"] == ("1.0.0", None)
    assert reg.events()[-1]["sequence"] == 2


@pytest.mark.slow
def test_a_promotion_moves_the_alias_in_mlflow(reg: Registry) -> None:
    """Register, canary, promote: what serving systems read in the workspace's own database."""
    marker = reg.folder / "relkit.yaml"
    marker.write_text(f"{marker.read_text(encoding='utf-8')}mlflow: {{}}\n", encoding="utf-8")
    reg.register()
    assert reg.promote("1.0.0", "own").code == 0
    assert reg.relkit("verify").code == 0
    database = sqlite3.connect(reg.folder / ".relkit" / "mlflow.db")
    try:
        aliases = "SELECT alias, version FROM registered_model_aliases"
        assert database.execute(aliases).fetchall() == [("champion", 1)]
        tags = "SELECT key, value FROM model_version_tags"
        assert ("relkit.version", "1.0.0") in database.execute(tags).fetchall()
    finally:
        database.close()


def test_a_card_says_who_signed_and_where_to_go_back(reg: Registry) -> None:
    """The signature is verified with the keys of relkit.yaml, and the ledger names the target."""
    reg.register()
    assert reg.promote("1.0.0", "by-key").code == 0
    reg.register("1.1.0", name="two")
    assert reg.promote("1.1.0", "two").code == 0
    first = reg.workspace.relkit("card", "asr@1.0.0").out
    assert "Signature: verified: signed by the trusted key " in first
    newer = reg.workspace.relkit("card", "asr").out
    assert "# asr 1.1.0" in newer
    assert "If this release is bad, go back to asr 1.0.0 (a gate passed it)." in newer
    assert "Signature: unsigned: nobody vouches for it." in newer
    marker = reg.folder / "relkit.yaml"
    text = marker.read_text(encoding="utf-8")
    marker.write_text("\n".join(line for line in text.splitlines() if "signing" not in line))
    untrusted = reg.workspace.relkit("card", "asr@1.0.0").out
    assert "Signature: not verified: no trusted key has signed it." in untrusted


def test_a_card_uses_no_decision_that_is_not_the_one_of_the_ledger(reg: Registry) -> None:
    """One that is gone is said to be; one about another artifact is refused."""
    reg.register()
    assert reg.promote("1.0.0", "own").code == 0
    kept = reg.folder / "registry" / "releases" / "asr" / "1.0.0"
    (decision,) = kept.glob("decision-*.json")
    before = decision.read_bytes()
    shutil.rmtree(reg.folder / ".relkit" / "decisions")
    decision.write_bytes(before.replace(b'"payload":"', b'"payload":"e30'))
    said = reg.workspace.relkit("card", "asr", "--json")
    assert (said.code, "decision" in said.document["not_measured"]) == (0, True)
    assert "is not here, or was changed" in reg.workspace.relkit("card", "asr").out
    other = parse_envelope((reg.folder / "decisions" / "two.json").read_bytes(), source="two")
    document = json.loads((kept / "release.json").read_text())
    reg.workspace.relkit("registry", "yank", "asr", "1.0.0", "--reason", "x")
    document |= {"version": "1.0.1", "decision": other.digest}
    (reg.folder / "next.json").write_text(json.dumps(document))
    assert reg.relkit("register", str(reg.folder / "next.json")).code == 0
    folder = kept.with_name("1.0.1")
    (folder / "decision-0.json").write_bytes(render_envelope(other))
    refused = reg.workspace.relkit("card", "asr@1.0.1")
    assert (refused.code, "about another artifact" in refused.err) == (2, True), refused.err


def test_the_card_of_a_stack_names_what_it_pins(reg: Registry) -> None:
    """It was not measured as one; the decision about all of its parts is its own."""
    reg.register()
    reg.register("2.0", model="llm", component="llm", name="two")
    stack = {"schema": "relkit.release/v1", "model": "voice", "version": "7", "component": "stack"}
    document = {**stack, "owner": "x", "licence": "MIT", "pins": {"asr": "1.0.0", "llm": "2.0"}}
    (reg.folder / "stack.json").write_text(json.dumps(document))
    assert reg.relkit("register", str(reg.folder / "stack.json")).code == 0
    assert reg.promote("7", "stack", model="voice").code == 0
    said = reg.workspace.relkit("card", "voice", "--json")
    assert said.code == 0, said.err
    assert said.document["not_measured"][0] == "evaluation"
    assert "decision" not in said.document["not_measured"]
    text = reg.workspace.relkit("card", "voice").out
    assert "| pins | asr 1.0.0 |" in text
    assert "| verdict | PASS |" in text
