"""Going back through the command line, with real ledgers, records and artifacts on disk.

The golden file is written again with: RELKIT_GOLDEN=1 pytest tests/e2e/test_rollback.py
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relkit.core.errors import BackendUnavailable, Busy, InvalidInput
from relkit.registry.ledger import Entry, plan_promoted, plan_registered, plan_yanked, state_of
from relkit.registry.release_files import sealed
from relkit.registry.types import Artifact, Attested, EventKind, Interface, Release, RequiredModel
from relkit.registry.verify import VerifyRegistryOptions, record_verified
from relkit.rollback.run import RollbackOptions, apply, plan_rollback
from relkit.wiring import registry
from relkit.wiring.rollback import rollback_ports
from relkit.wiring.stores import open_workspace
from tests.conftest import Said, Workspace

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "rollback.txt"
SPEECH = Interface(sample_rate_hz=16_000, languages=("en",), label_schema="3", api_version="1.2")
DECISION = "sha256:" + "d" * 64


@dataclass
class Served:
    """A workspace whose releases were registered and promoted at known times."""

    workspace: Workspace
    minute: int = 0

    @property
    def ports(self) -> Any:  # noqa: ANN401  # the registry's ports
        """The registry of the workspace."""
        return registry.registry_ports(open_workspace(self.workspace.folder))

    def entry(self, reason: str = "") -> Entry:
        """Return who acts, a minute later."""
        self.minute += 1
        return Entry(at=f"2026-01-31T12:{self.minute:02}:00Z", by="ci", reason=reason)

    def add(self, version: str, *, model: str = "asr", **fields: Any) -> Release:  # noqa: ANN401  # any field
        """Write an artifact and a record, and register it."""
        ports = self.ports
        given: dict[str, Any] = {
            "component": "asr",
            "kind": "files",
            "created": "2026-01-31T12:00:00Z",
            "owner": "speech team",
            "licence": "Apache-2.0",
            "interface": SPEECH,
            **fields,
        }
        if given["kind"] == "files":
            path = self.workspace.folder / "models" / model / version / "model.bin"
            path.parent.mkdir(parents=True)
            path.write_text(f"weights of {model} {version}\n", encoding="utf-8")
            root, files, digest = ports.artifacts.listing(f"models/{model}/{version}")
            given["artifact"] = Artifact(digest=digest, root=root, files=files)
        one = sealed(Release(model=model, version=version, digest="", **given))
        ports.releases.write(one)
        planned = plan_registered(self.state(model), one, self.entry())
        assert planned is not None
        ports.ledger.append(planned, expected=planned.sequence - 1)
        return one

    def state(self, model: str = "asr") -> Any:  # noqa: ANN401  # the state of a ledger
        """Return the state of a model."""
        return state_of(model, self.ports.ledger.events(model))

    def serve(
        self,
        version: str,
        *,
        model: str = "asr",
        attested: Attested = "gate",
        **fields: Any,  # noqa: ANN401  # any field
    ) -> None:
        """Register a release and give it all traffic."""
        self.add(
            version, model=model, attested="none" if attested == "gate" else attested, **fields
        )
        decision = DECISION if attested == "gate" else None
        planned = plan_promoted(
            self.state(model), version, self.entry(), decision=decision, attested=attested
        )
        self.ports.ledger.append(planned, expected=planned.sequence - 1)

    def spoil(self, version: str, model: str = "asr") -> None:
        """Change a byte of an artifact."""
        path = self.workspace.folder / "models" / model / version / "model.bin"
        path.write_text("other weights\n", encoding="utf-8")

    def rollback(self, *arguments: str) -> Said:
        """Run ``relkit rollback``."""
        return self.workspace.relkit("rollback", *arguments)

    @property
    def files(self) -> dict[str, bytes]:
        """Everything below the registry, by path."""
        folder = self.workspace.folder / "registry"
        found = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def served(workspace: Workspace) -> Served:
    """Give four releases: 2.0.0 to 2.2.0 and then 2.3.0, which is live."""
    one = Served(workspace)
    one.serve("2.0.0")
    one.serve("2.1.0")
    one.serve("2.2.0", worse_slices=("accent=scottish",))
    one.serve("2.3.0", requires={"llm": ">=1.2,<2"})
    one.serve("1.4.0", model="llm", component="llm", requires={"asr": ">=2"})
    return one


def test_a_plan_is_one_document_and_changes_nothing(served: Served) -> None:
    """Target, refusals with their reasons, the plan, and whether anything was done."""
    before = served.files
    said = served.rollback("asr", "--slice", "accent=scottish", "--json")
    assert (said.code, said.err) == (0, "")
    document = said.document
    assert (document["target"], document["live"], document["bad"]) == ("2.1.0", "2.3.0", ["2.3.0"])
    assert document["applied"] is False
    assert [(one["version"], one["code"]) for one in document["refused"]] == [
        ("2.3.0", "bad"),
        ("2.2.0", "worse_slice"),
    ]
    assert document["plan"][0].endswith(
        "relkit rollback asr --bad 2.3.0 --slice accent=scottish --to 2.1.0 --apply"
    )
    assert served.files == before


def test_the_terminal_shows_the_same(served: Served) -> None:
    """Held as a golden file."""
    said = served.rollback("asr", "--slice", "accent=scottish")
    assert said.code == 0
    assert said.err == "nothing was changed: --apply goes there\n"
    if os.environ.get("RELKIT_GOLDEN"):
        GOLDEN.write_text(said.out, encoding="utf-8")
    assert said.out == GOLDEN.read_text(encoding="utf-8")


def test_applying_appends_one_event_to_the_chain(served: Served) -> None:
    """The ledger proves itself afterwards, and what is live is the target."""
    said = served.rollback("asr", "--apply", "--by", "lee", "--reason", "scots are lost", "--json")
    assert (said.code, said.document["applied"]) == (0, True)
    event = served.ports.ledger.events("asr")[-1]
    assert (event.kind, event.version, event.from_version) == (
        EventKind.ROLLED_BACK,
        "2.2.0",
        "2.3.0",
    )
    assert (event.bad, event.by, event.reason) == (("2.3.0",), "lee", "scots are lost")
    assert said.document["events"][0]["digest"] == event.digest
    assert served.state().live == "2.2.0"
    assert served.ports.ledger.read("asr").problems == ()


def test_applying_twice_goes_back_once(served: Served) -> None:
    """A repeated command is not a second rollback, unless what is bad now is said."""
    assert served.rollback("asr", "--apply", "--by", "lee").code == 0
    again = served.rollback("asr", "--apply", "--by", "lee")
    assert again.code == 2
    assert "going back once more has to be meant" in again.err
    same = served.rollback("asr", "--bad", "2.3.0", "--apply", "--by", "lee", "--json")
    assert (same.code, same.document["applied"], same.document["already"]) == (0, False, True)
    further = served.rollback("asr", "--bad", "2.2.0", "--bad", "2.3.0", "--apply", "--by", "lee")
    assert (further.code, served.state().live) == (0, "2.1.0")


def test_a_changed_artifact_is_no_target_even_when_named(served: Served) -> None:
    """The bytes are looked at now."""
    served.spoil("2.2.0")
    assert served.rollback("asr", "--json").document["target"] == "2.1.0"
    said = served.rollback("asr", "--to", "2.2.0", "--apply", "--by", "lee", "--json")
    assert (said.code, said.document["target"], said.document["applied"]) == (1, None, False)
    assert said.document["refused"][-1]["reason"] == (
        "its artifact does not verify: models/asr/2.2.0/model.bin does not have its digest"
    )


def test_a_yanked_release_is_no_target_even_when_named(served: Served) -> None:
    """With when and why it was yanked."""
    planned = plan_yanked(served.state(), "2.2.0", served.entry("wrong labels"))
    served.ports.ledger.append(planned, expected=planned.sequence - 1)
    said = served.rollback("asr", "--to", "2.2.0")
    assert said.code == 1
    assert "no target: every release is refused" in said.out
    assert "2.2.0: it was yanked at 2026-01-31T12:11:00Z: wrong labels" in said.out


def test_no_target_exits_1_with_every_reason(served: Served) -> None:
    """Nothing is gone back to by mistake."""
    for version in ("2.0.0", "2.1.0", "2.2.0"):
        served.spoil(version)
    said = served.rollback("asr", "--apply", "--by", "lee", "--json")
    assert (said.code, said.document["target"]) == (1, None)
    assert [one["code"] for one in said.document["refused"]] == ["bad"] + ["unverifiable"] * 3


def test_a_legacy_release_needs_its_verification_in_the_ledger(workspace: Workspace) -> None:
    """Then it is a target, and says that no gate stands behind it."""
    one = Served(workspace)
    one.serve("1", attested="legacy")
    one.serve("2")
    said = one.rollback("asr", "--json")
    assert (said.code, said.document["refused"][-1]["code"]) == (1, "legacy_unverified")
    now = Entry(at=one.ports.clock.now(), by="ci")
    assert record_verified(one.ports, ("asr",), entry=now) == ("asr 1",)
    said = one.rollback("asr", "--json")
    assert (said.code, said.document["target"], said.document["attested"]) == (0, "1", "legacy")


def test_an_edited_ledger_is_refused(served: Served) -> None:
    """With file and line; nothing is planned from it."""
    path = served.workspace.folder / "registry" / "events" / "asr.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"by":"ci"', '"by":"me"', 1), encoding="utf-8")
    said = served.rollback("asr")
    assert said.code == 2
    assert (
        "asr.jsonl, line 1: was edited: its content does not have the digest that it names"
        in said.err
    )


def test_an_edited_record_is_no_target(served: Served) -> None:
    """What was promoted had another digest."""
    path = served.workspace.folder / "registry" / "releases" / "asr" / "2.2.0" / "release.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["owner"] = "nobody"
    path.write_text(json.dumps(document), encoding="utf-8")
    said = served.rollback("asr", "--json")
    assert said.document["target"] == "2.1.0"
    assert said.document["refused"][-1]["reason"].startswith("its record is not the one")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("asl",), 'no model "asl" in the registry'),
        (("asr", "--bad", "9.9"), '--bad: the ledger of asr knows no version "9.9"'),
        (("asr", "--slice", "accent=*"), "stands for several slices"),
    ],
)
def test_what_nobody_knows_exits_2(
    served: Served, arguments: tuple[str, ...], message: str
) -> None:
    """As one JSON document where asked for."""
    said = served.rollback(*arguments, "--json")
    assert said.code == 2
    assert message in said.document["error"]["message"]


def test_of_two_plans_for_one_state_only_one_is_applied(served: Served) -> None:
    """The ledger compares before it sets."""
    ports = rollback_ports(open_workspace(served.workspace.folder))
    plans = [plan_rollback(RollbackOptions(model="asr"), ports) for _ in range(2)]
    apply(plans[0], ports, by="one", reason="")
    with pytest.raises(Busy) as caught:
        apply(plans[1], ports, by="two", reason="")
    assert caught.value.hint == "plan again: relkit rollback asr"
    assert [event.by for event in ports.ledger.events("asr")][-2:] == ["ci", "one"]


class Aliases:
    """Implements the registry's ``Mirror``: aliases that can be told, or do not answer."""

    def __init__(self) -> None:
        """Begin with nothing, and answering."""
        self.champion: str | None = None
        self.down = False

    def compare(self, required: RequiredModel) -> tuple[str, ...]:
        """Return whether the alias is another."""
        return (
            ()
            if self.champion == required.aliases["champion"]
            else ("the alias champion is another",)
        )

    def repair(self, required: RequiredModel) -> tuple[str, ...]:
        """Move the alias."""
        if self.down:
            raise BackendUnavailable("MLflow did not answer at http://127.0.0.1:9")
        self.champion = required.aliases["champion"]
        return ("the alias champion was moved",)


def test_a_mirror_that_is_down_is_told_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is safe, the exit code is 5, and the repair moves the alias."""
    aliases = Aliases()
    monkeypatch.setattr(registry, "mirror", lambda _settings: aliases)
    aliases.down = True
    assert served.rollback("asr").code == 0  # planning needs no server
    said = served.rollback("asr", "--apply", "--by", "lee", "--json")
    assert said.code == 5
    error = said.document["error"]
    assert (
        "the rollback of asr to 2.2.0 is recorded (event 9), and the alias was not"
        in error["message"]
    )
    assert error["hint"] == "nothing is lost; finish it: relkit registry verify --repair"
    assert (served.state().live, aliases.champion) == ("2.2.0", None)
    aliases.down = False
    settings = open_workspace(served.workspace.folder)
    registry.verify(settings, VerifyRegistryOptions(model="asr", repair=True))
    assert aliases.champion == "2.2.0"


def test_a_stack_goes_back_by_one_component(workspace: Workspace) -> None:
    """The first-bad stack brought in one release; that is what goes."""
    one = Served(workspace)
    for model, version in (("asr", "1.0"), ("asr", "1.1"), ("llm", "2.0")):
        one.add(version, model=model, component=model)
    for version, asr in (("1", "1.0"), ("2", "1.1")):
        pins = {"asr": asr, "llm": "2.0"}
        one.serve(version, model="voice", component="stack", kind="stack", pins=pins)
    said = one.rollback("voice", "--apply", "--by", "lee", "--json")
    assert said.code == 0, said
    assert (said.document["target"], said.document["revert"]) == ("1", {"asr": "1.0"})
    assert one.state("voice").live == "1"
    one.spoil("1.0")
    said = one.rollback("voice", "--bad", "2", "--to", "1", "--json")
    assert said.code == 1
    assert (
        "models/asr/1.0/model.bin does not have its digest"
        in said.document["refused"][-1]["reason"]
    )


def test_planning_loads_nothing_heavy(served: Served) -> None:
    """No MLflow, no network, no numbers: a rollback is planned when all else is down."""
    script = (
        "import json, sys\n"
        "from relkit.cli.boundary import run\n"
        "code = run(json.loads(sys.argv[1]))\n"
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))\n"
    )
    arguments = ["rollback", "asr", "--quiet", "--workspace", str(served.workspace.folder)]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    heavy = {"mlflow", "numpy", "duckdb", "pyarrow", "pandas", "scipy", "requests", "rich"}
    assert not heavy & set(modules)
    assert "relkit.evaluation.types" not in modules


def test_a_broken_ledger_of_a_partner_stops_the_plan(served: Served) -> None:
    """What runs beside it could not be told."""
    path = served.workspace.folder / "registry" / "events" / "llm.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(reversed(lines)), encoding="utf-8")
    ports = rollback_ports(open_workspace(served.workspace.folder))
    with pytest.raises(InvalidInput, match=r"llm\.jsonl"):
        plan_rollback(RollbackOptions(model="asr"), ports)
