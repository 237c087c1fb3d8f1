"""The registry and MLflow, through the command line, with a real database and a real server."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from relkit.adapters.ledgers import LedgerFiles
from relkit.adapters.mlflow.registry import MlflowRegistry
from relkit.core.config import MlflowSettings
from relkit.core.digests import sha256_bytes
from relkit.registry.ledger import Entry, plan_promoted, plan_registered, state_of
from relkit.registry.release_files import sealed
from relkit.registry.types import Artifact, Release
from relkit.wiring import registry
from relkit.wiring.stores import open_workspace
from tests.conftest import Said, Workspace
from tests.mlflow_proxy import ALIAS, Proxy, Server, proxied, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a real server, one for all tests; the last one kills and starts it again."""
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def gate(server: Server) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with proxied(server.port) as proxy:
        yield proxy


@dataclass(frozen=True)
class Shop:
    """A workspace with releases of one model, mirrored to a server through a proxy."""

    workspace: Workspace
    model: str
    proxy: Proxy
    server: Server

    def add(self, version: str) -> None:
        """Write and register a release, in the ledger alone."""
        ports = registry.registry_ports(open_workspace(self.workspace.folder))
        path = self.workspace.folder / "models" / self.model / version / "model.bin"
        path.parent.mkdir(parents=True)
        path.write_text(f"weights of {version}\n", encoding="utf-8")
        root, files, digest = ports.artifacts.listing(f"models/{self.model}/{version}")
        release = sealed(
            Release(
                model=self.model,
                version=version,
                component="asr",
                kind="files",
                digest="",
                created="2026-01-31T12:00:00Z",
                owner="speech team",
                licence="Apache-2.0",
                artifact=Artifact(digest=digest, root=root, files=files),
            )
        )
        ports.releases.write(release)
        state = state_of(self.model, ports.ledger.events(self.model))
        entry = Entry(at="2026-01-31T12:00:00Z", by="ci")
        event = plan_registered(state, release, entry)
        assert event is not None
        ports.ledger.append(event, expected=state.sequence)

    def promote(self, version: str, minute: int) -> None:
        """Promote a release, in the ledger alone: what a kill before the mirror leaves behind."""
        ports = registry.registry_ports(open_workspace(self.workspace.folder))
        state = state_of(self.model, ports.ledger.events(self.model))
        entry = Entry(at=f"2026-01-31T12:{minute:02}:00Z", by="ci")
        evidence = f'{{"passed": "{version}"}}\n'.encode()
        ports.releases.keep(self.model, version, "decision-0.json", evidence)
        event = plan_promoted(state, version, entry, decision=sha256_bytes(evidence))
        ports.ledger.append(event, expected=state.sequence)

    def relkit(self, *arguments: str) -> Said:
        """Run ``relkit registry …``."""
        return self.workspace.relkit("registry", *arguments)

    @property
    def live(self) -> object:
        """What the ledger says is live."""
        return self.relkit("history", self.model, "--json").document["live"]

    @property
    def served(self) -> dict[str, str]:
        """The aliases of the server, as versions of relkit's."""
        versions = self.server.versions(self.model)
        return {
            alias: versions[number]["relkit.version"]
            for alias, number in self.server.aliases(self.model).items()
        }


@pytest.fixture
def shop(workspace: Workspace, gate: Proxy, server: Server, request: pytest.FixtureRequest) -> Shop:
    """Give two releases, both promoted one after the other, of which the mirror knows."""
    gate.clear()
    marker = workspace.folder / "relkit.yaml"
    text = marker.read_text(encoding="utf-8")
    marker.write_text(f"{text}mlflow: {{tracking_uri: '{gate.uri}'}}\n", encoding="utf-8")
    name = "".join(c if c.isalnum() else "-" for c in request.node.name[5:45])
    shop = Shop(workspace, name, gate, server)
    for minute, version in enumerate(("1.0", "2.0"), start=1):
        shop.add(version)
        shop.promote(version, minute)
    assert shop.relkit("verify", "--repair").code == 0
    assert shop.served == {"champion": "2.0", "previous": "1.0"}
    gate.clear()
    return shop


def test_a_release_and_its_yank_reach_the_server(shop: Shop) -> None:
    """Commands that append tell the mirror: a new version, and that it is withdrawn."""
    source = shop.workspace.folder / "release.yaml"
    folder = shop.workspace.folder / "models" / shop.model / "3.0"
    folder.mkdir()
    (folder / "model.bin").write_text("weights of 3.0\n", encoding="utf-8")
    source.write_text(
        f"{{schema: relkit.release/v1, model: {shop.model}, version: '3.0', component: asr, "
        f"owner: speech, licence: MIT, artifact: {{root: models/{shop.model}/3.0}}}}\n"
    )
    assert shop.relkit("register", str(source)).code == 0
    done = shop.relkit("yank", shop.model, "3.0", "--reason", "noise", "--json")
    assert (done.code, done.document["mirror"]) == (0, "updated")
    tags = next(
        t for t in shop.server.versions(shop.model).values() if t["relkit.version"] == "3.0"
    )
    assert (tags["relkit.yanked"], tags["relkit.sequence"]) == ("true", "5")
    assert shop.served == {"champion": "2.0", "previous": "1.0"}


def test_a_rollback_moves_the_alias_once(shop: Shop) -> None:
    """Event, then alias; planning asks no server."""
    assert shop.workspace.relkit("rollback", shop.model).code == 0
    assert shop.proxy.seen == []
    done = shop.workspace.relkit("rollback", shop.model, "--apply", "--by", "lee")
    assert (done.code, shop.live) == (0, "1.0"), done
    assert shop.served == {"champion": "1.0", "previous": "2.0"}
    assert shop.proxy.writes() == 2  # champion and previous
    assert shop.relkit("verify").code == 0


def test_a_kill_between_event_and_alias_is_found_and_finished(shop: Shop) -> None:
    """``kill -9`` while the server is asked: verify says so, --repair finishes, both once."""
    shop.proxy.leave.clear()
    shop.proxy.fault = ("POST", ALIAS, "silent", 9)
    with shop.workspace.start("rollback", shop.model, "--apply", "--by", "lee") as child:
        end = time.monotonic() + 60
        while not any(ALIAS in path and method == "POST" for method, path in shop.proxy.seen):
            assert time.monotonic() < end
            assert child.poll() is None
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGKILL)
    shop.proxy.leave.set()
    shop.proxy.clear()
    assert (shop.live, shop.served["champion"]) == ("1.0", "2.0")
    said = shop.relkit("verify", "--json")
    assert said.code == 1
    assert f"{shop.model}: the alias champion names 2.0, not 1.0" in said.document["problems"]
    assert shop.relkit("verify", "--repair").code == 0
    assert shop.served == {"champion": "1.0", "previous": "2.0"}
    assert shop.proxy.writes() == 2


def test_a_server_that_dies_half_way_leaves_the_event(shop: Shop) -> None:
    """The version was asked for, the alias was not: exit 5, and after a restart it moves once."""
    kill = shop.server.kill
    shop.proxy.fault = ("POST", ALIAS, "drop before", 9)
    taken = shop.proxy.taken

    def die(method: str, path: str) -> object:
        found = taken(method, path)
        if found == "drop before":
            kill()
        return found

    shop.proxy.taken = die  # type: ignore[assignment,method-assign]  # the server dies at this request
    try:
        done = shop.workspace.relkit("rollback", shop.model, "--apply", "--by", "lee")
        assert done.code == 5, done
        assert "to 1.0 is recorded (event 5), and the alias was not moved" in done.err
        assert "relkit registry verify --repair" in done.err
        assert shop.live == "1.0"
        planned = shop.workspace.relkit("rollback", shop.model, "--bad", "1.0")
        assert planned.code in {0, 1}  # planning goes on without the server
        said = shop.relkit("verify", shop.model, "--json")
        assert (said.code, said.document["valid"], said.document["mirror"]) == (5, True, "silent")
        assert "MLflow" in said.document["mirror_error"]
    finally:
        shop.proxy.clear()
        del shop.proxy.taken
        if shop.server.started is None:
            shop.server.start()
    assert shop.served["champion"] == "2.0"
    shop.proxy.clear()
    repaired = shop.relkit("verify", shop.model, "--repair", "--json")
    assert repaired.code == 0, repaired
    assert f"{shop.model}: the alias champion: 2.0 → 1.0" in repaired.document["repaired"]
    assert shop.served == {"champion": "1.0", "previous": "2.0"}
    assert shop.proxy.writes() == 2
    shop.proxy.clear()
    assert shop.relkit("verify", "--repair").code == 0
    assert shop.proxy.writes() == 0


def test_what_somebody_else_did_stops_the_alias_and_not_the_event(shop: Shop) -> None:
    """An alias moved by hand: the rollback is recorded, exit 5 says who has to look."""
    named = {"name": shop.model, "alias": "champion"}
    shop.server.call("POST", ALIAS, {**named, "version": "1"})
    assert shop.relkit("verify").code == 1
    shop.server.call("DELETE", f"{ALIAS}?name={shop.model}&alias=champion", named)
    said = shop.relkit("verify", "--json")
    missing = f"{shop.model}: the alias champion is missing: it has to name 2.0"
    assert (said.code, missing in said.document["problems"]) == (1, True)
    done = shop.workspace.relkit("rollback", shop.model, "--apply", "--by", "lee")
    assert (done.code, shop.live) == (5, "1.0")
    assert "names no version, and relkit left it at 2.0: somebody else moved it" in done.err
    assert shop.relkit("verify", "--repair").code == 0
    assert shop.served == {"champion": "1.0", "previous": "2.0"}


# Import


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a database that people filled without relkit."""
    folder = tmp_path_factory.mktemp("old")
    script = (
        "import sys, time\n"
        "from mlflow import MlflowClient\n"
        "uri = 'sqlite:///' + sys.argv[1] + '/old.db'\n"
        "client = MlflowClient(tracking_uri=uri, registry_uri=uri)\n"
        "client.create_registered_model('speech to text')\n"
        "secret = 's3://user:honeytoken@bucket/one?sig=honeytoken'\n"
        "for source in (secret, 'models/old', 'models/new', 'models/next'):\n"
        "    client.create_model_version('speech to text', source, run_id=None)\n"
        "    time.sleep(0.01)\n"
        "client.set_registered_model_alias('speech to text', 'champion', '3')\n"
        "client.set_registered_model_alias('speech to text', 'previous', '2')\n"
        "client.set_registered_model_alias('speech to text', 'candidate', '4')\n"
        "client.create_registered_model('staged')\n"
        "for stage in ('Archived', 'Production', 'Staging'):\n"
        "    made = client.create_model_version('staged', 's3://bucket/x')\n"
        "    client.transition_model_version_stage('staged', made.version, stage)\n"
        "for name, alias in (('capital', 'Champion'), ('colour', 'blue'), ('gone', 'Live')):\n"
        "    client.create_registered_model(name)\n"
        "    for _ in range(2):\n"
        "        client.create_model_version(name, 's3://bucket/x')\n"
        "    client.set_registered_model_alias(name, alias, '2')\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(folder)],
        check=True,
        capture_output=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    with closing(sqlite3.connect(folder / "old.db")) as database, database:
        sql = "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 2"
        database.execute(f"{sql} AND name = 'gone'")
    return folder


def _fill(folder: Path) -> None:
    for name in ("old", "new", "next"):
        path = folder / "models" / name / "model.bin"
        path.parent.mkdir(parents=True)
        path.write_text(f"weights of {name}\n", encoding="utf-8")


def _import(workspace: Workspace, old: Path, *arguments: str) -> Said:
    uri = f"sqlite:///{old}/old.db"
    return workspace.relkit(
        "registry", "import", "mlflow", "--registry-uri", uri, *arguments, "--json"
    )


def test_an_existing_registry_comes_in_as_legacy(workspace: Workspace, old: Path) -> None:
    """Versions by time, what was served, and what could not be known; twice changes nothing."""
    _fill(workspace.folder)
    done = _import(workspace, old, "--component", "asr")
    assert done.code == 0, done
    capital, colour, gone, speech, staged = done.document["models"]
    assert (speech["name"], speech["model"]) == ("speech to text", "speech-to-text")
    assert speech["registered"] == ["1", "2", "3", "4"]
    assert (speech["live"], speech["previous"], speech["unverifiable"]) == ("3", "2", ["1"])
    assert speech["notes"] == [
        "it is called speech-to-text here",
        "1 cannot be verified: its files are not in this workspace (s3://bucket/one)",
        "since when each was served is not known: the ledger begins with the import",
        "4 is candidate: which share it has is not known, so it is no canary",
    ]
    assert (staged["live"], staged["unverifiable"]) == ("2", ["1", "2", "3"])
    assert (capital["live"], colour["live"], gone["live"]) == ("2", None, None)
    nothing = "nothing says which version is served: no alias champion, no stage Production; "
    assert f"{nothing}its aliases: blue (2)" in colour["notes"]
    assert "the alias Live names version 2, which was deleted" in gone["notes"]
    history = workspace.relkit("registry", "history", "speech-to-text", "--json").document
    assert [(one["kind"], one["version"]) for one in history["events"]] == [
        *(("registered", version) for version in "1234"),
        ("promoted", "2"),
        ("promoted", "3"),
    ]
    assert {one["attested"] for one in history["events"]} == {"legacy"}
    kept = list((workspace.folder / "registry").rglob("*"))
    assert not any(b"honeytoken" in path.read_bytes() for path in kept if path.is_file())
    again = _import(workspace, old)
    assert again.code == 0, again
    assert [one["registered"] for one in again.document["models"]] == [[]] * 5
    same = workspace.relkit("registry", "history", "speech-to-text", "--json").document
    assert same["events"] == history["events"]
    verified = workspace.relkit("registry", "verify", "--json")
    assert verified.code == 0, verified
    assert len(verified.document["unchecked"]) == 9


def test_what_was_imported_is_a_target_after_a_verification(
    workspace: Workspace, old: Path
) -> None:
    """No gate stands behind it, so its artifact is verified first; the unverifiable never is."""
    _fill(workspace.folder)
    assert _import(workspace, old, "--model", "speech to text").code == 0
    refused = workspace.relkit("rollback", "speech-to-text", "--json")
    assert refused.code == 1, refused
    assert workspace.relkit("registry", "verify", "--record").code == 0
    planned = workspace.relkit("rollback", "speech-to-text", "--json")
    assert (planned.code, planned.document["target"]) == (0, "2"), planned
    named = workspace.relkit("rollback", "speech-to-text", "--to", "1", "--json")
    assert named.code == 1
    assert "nothing can be verified" in named.document["refused"][-1]["reason"]


def test_an_import_that_was_cut_short_is_finished(
    workspace: Workspace, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop after any event: the same again has the same ledger as one that was not stopped."""
    _fill(workspace.folder)
    versions = MlflowRegistry(
        MlflowSettings(),
        state=workspace.folder / ".relkit",
        environment=dict(os.environ),
        uri=f"sqlite:///{old}/old.db",
    ).legacy(["speech to text"])
    monkeypatch.setattr(MlflowRegistry, "legacy", lambda _self, _names: versions)
    append = LedgerFiles.append
    left = [0]

    def limited(self: LedgerFiles, event: object, *, expected: int) -> object:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return append(self, event, expected=expected)  # type: ignore[arg-type]  # an event

    monkeypatch.setattr(LedgerFiles, "append", limited)
    for _ in range(6):
        left[0] = 1
        assert _import(workspace, old).code in {0, 130}
    left[0] = 9
    assert _import(workspace, old).code == 0
    events = workspace.relkit("registry", "history", "speech-to-text", "--json").document["events"]
    assert [(one["kind"], one["version"]) for one in events] == [
        *(("registered", version) for version in "1234"),
        ("promoted", "2"),
        ("promoted", "3"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nobody"), 'mlflow has no registered model "nobody"'),
        (("--component", "car"), '"car" is no component'),
    ],
)
def test_an_import_that_makes_no_sense_is_refused(
    workspace: Workspace, old: Path, arguments: tuple[str, ...], message: str
) -> None:
    """One message, exit 2, and nothing is written."""
    done = _import(workspace, old, *arguments)
    assert (done.code, done.document["error"]["message"]) == (2, message)
    assert not (workspace.folder / "registry" / "events").exists()
