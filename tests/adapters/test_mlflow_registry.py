"""The mirror against a real database, a real server, and a proxy that spoils its answers."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from relkit.adapters.mlflow.registry import MlflowRegistry
from relkit.core.config import MlflowSettings
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.registry.ledger import state_of
from relkit.registry.mirror import required_model
from relkit.registry.types import (
    Artifact,
    EventKind,
    Origin,
    Release,
    ReleaseEvent,
    RequiredModel,
)
from tests.mlflow_proxy import ALIAS, Kind, Proxy, Server, free_port, proxied, served

pytestmark = pytest.mark.slow

HONEY = "honeytoken-marmalade"
ONE = "sha256:" + "1" * 64
EVENTS = tuple(
    ReleaseEvent(
        model="asr",
        sequence=sequence,
        kind=kind,
        version=version,
        at="2026-01-31T12:00:00Z",
        by="ann",
        traffic=traffic,
        digest=ONE,
    )
    for sequence, kind, version, traffic in (
        (1, EventKind.REGISTERED, "1.0", None),
        (2, EventKind.PROMOTED, "1.0", 1.0),
        (3, EventKind.REGISTERED, "1.1", None),
        (4, EventKind.CANARY, "1.1", 0.05),
        (5, EventKind.PROMOTED, "1.1", 1.0),
        (6, EventKind.ROLLED_BACK, "1.0", 1.0),
    )
)


def _release(version: str, model: str = "asr") -> Release:
    return Release(
        model=model,
        version=version,
        component="asr",
        kind="files",
        digest="sha256:" + "e" * 64,
        created="2026-01-31T12:00:00Z",
        artifact=Artifact(digest="sha256:" + version[-1] * 64, root=f"models/{version}"),
    )


def _after(
    sequence: int,
    model: str = "asr",
    *,
    guarded: bool = True,
    releases: tuple[Release, ...] | None = None,
) -> RequiredModel:
    """Return what the mirror has to say after an event of the history."""
    events = EVENTS[:sequence]
    state = state_of(model, events)
    registered = tuple(_release(version, model) for version in state.registered)
    return required_model(state, events, releases or registered, guarded=guarded)


def _mirror(folder: Path, uri: str | None = None, **variables: str) -> MlflowRegistry:
    return MlflowRegistry(
        MlflowSettings(tracking_uri=uri),
        state=folder / ".relkit",
        environment={"HOME": str(folder), "PATH": os.environ["PATH"], **variables},
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a real server, one for all tests."""
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def gate(server: Server) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with proxied(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def direct(server: Server, tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    """Give a mirror of the server, one for many tests: its child imports MLflow once."""
    return _mirror(tmp_path_factory.mktemp("direct"), server.uri)


@pytest.fixture(scope="module")
def through(gate: Proxy, tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    """Give a mirror through the proxy."""
    return _mirror(tmp_path_factory.mktemp("through"), gate.uri)


@pytest.fixture
def proxy(gate: Proxy) -> Proxy:
    """Give the proxy with nothing to spoil."""
    gate.clear()
    return gate


def test_a_database_in_the_workspace_follows_the_ledger(tmp_path: Path) -> None:
    """Register, promote, canary, promote, roll back: the aliases are where the ledger has them."""
    mirror = _mirror(tmp_path)
    assert mirror.compare(_after(2)) == ("asr: the registered model is not in the mirror",)
    assert mirror.repair(_after(2)) == (
        "asr: the registered model was made",
        "asr: 1.0 was made",
        "asr: the alias champion: none → 1.0",
    )
    assert mirror.repair(_after(4)) == (
        "asr: 1.1 was made",
        "asr: the alias candidate: none → 1.1",
    )
    assert mirror.repair(_after(5)) == (
        "asr: 1.1: the tag relkit.traffic is gone",
        "asr: the alias champion: 1.0 → 1.1",
        "asr: the alias candidate: 1.1 → none",
        "asr: the alias previous: none → 1.0",
    )
    assert mirror.compare(_after(6))[:1] == ("asr: the alias champion names 1.1, not 1.0",)
    mirror.repair(_after(6))
    assert mirror.compare(_after(6)) == ()
    assert mirror.repair(_after(6)) == ()
    assert (tmp_path / ".relkit" / "mlflow.db").is_file()


def test_a_server_carries_versions_tags_and_aliases(direct: MlflowRegistry, server: Server) -> None:
    """What a serving system reads: version, digests, sequence, and the three aliases."""
    direct.repair(_after(4, "served"))
    tags = server.versions("served")
    assert tags["2"] == {
        "relkit.version": "1.1",
        "relkit.release": "sha256:" + "e" * 64,
        "relkit.artifact": "sha256:" + "1" * 64,
        "relkit.component": "asr",
        "relkit.root": "models/1.1",
        "relkit.sequence": "3",
        "relkit.traffic": "0.05",
        "relkit.yanked": "false",
    }
    assert server.aliases("served") == {"champion": "1", "candidate": "2"}
    direct.repair(_after(6, "served"))
    assert server.aliases("served") == {"champion": "1", "previous": "2"}
    assert direct.compare(_after(6, "served")) == ()


def test_events_that_the_mirror_was_not_told_of_are_caught_up(
    direct: MlflowRegistry, server: Server
) -> None:
    """Two events later the alias is still where the ledger once had it: nobody else moved it."""
    direct.repair(_after(2, "late"))
    direct.repair(_after(6, "late"))
    assert server.aliases("late") == {"champion": "1", "previous": "2"}


def test_an_older_event_does_not_undo_a_newer_one(direct: MlflowRegistry, server: Server) -> None:
    """A ledger that lacks the last event the mirror was told of moves nothing."""
    direct.repair(_after(5, "raced"))
    with pytest.raises(BackendUnavailable) as caught:
        direct.repair(_after(2, "raced"))
    said = "the mirror was told of event 5 of raced, and this ledger ends at 2"
    assert caught.value.message == said
    assert direct.compare(_after(2, "raced"))[-1] == (
        "raced: the mirror was told of event 5, which this ledger does not have"
    )
    assert server.aliases("raced") == {"champion": "2", "previous": "1"}


def test_what_somebody_else_did_is_said(direct: MlflowRegistry, server: Server) -> None:
    """Deleted, moved, missing, unknown and retagged: each is a line, and repair mends them."""
    wanted = _after(5, "meddled", guarded=False)
    direct.repair(wanted)
    named = {"name": "meddled"}
    server.call("POST", "model-versions/create", {**named, "source": "s3://elsewhere/x"})
    server.call("POST", ALIAS, {**named, "alias": "champion", "version": "3"})
    tag = {"version": "2", "key": "relkit.artifact", "value": "other"}
    server.call("POST", "model-versions/set-tag", {**named, **tag})
    server.call("DELETE", "model-versions/delete", {**named, "version": "1"})
    assert set(direct.compare(wanted)) == {
        "meddled: 1.0 was deleted from the mirror",
        f'meddled: 1.1 (version 2): the tag relkit.artifact is "other", not "{ONE}"',
        "meddled: version 3 of the mirror is not one of relkit's",
        "meddled: the alias champion names version 3 (not relkit's), not 1.1",
        "meddled: the alias previous is missing: it has to name 1.0",
    }
    direct.repair(wanted)
    assert direct.compare(wanted) == ("meddled: version 3 of the mirror is not one of relkit's",)
    assert server.aliases("meddled") == {"champion": "2", "previous": "4"}


def test_an_alias_that_somebody_moved_is_not_moved_by_an_event(
    through: MlflowRegistry, proxy: Proxy, server: Server
) -> None:
    """Neither the old nor the new value: it is said, and nothing is written."""
    through.repair(_after(2, "moved"))
    server.call("POST", "model-versions/create", {"name": "moved", "source": "s3://elsewhere/x"})
    server.call("POST", ALIAS, {"name": "moved", "alias": "champion", "version": "2"})
    proxy.clear()
    with pytest.raises(BackendUnavailable) as caught:
        through.repair(_after(5, "moved"))
    assert caught.value.message == (
        "the alias champion of moved names version 2 (not relkit's), and relkit left it at 1.0: "
        "somebody else moved it"
    )
    assert caught.value.hint == "ask who did it, then: relkit registry verify moved --repair"
    assert not any(method != "GET" for method, _ in proxy.forwarded)


def test_a_version_that_was_deleted_is_not_made_again_by_an_event(
    direct: MlflowRegistry, server: Server
) -> None:
    """Going back to it is refused with words; people repair it."""
    direct.repair(_after(5, "deleted"))
    server.call("DELETE", "model-versions/delete", {"name": "deleted", "version": "1"})
    with pytest.raises(BackendUnavailable, match="alias previous of deleted names no version"):
        direct.repair(_after(6, "deleted"))
    assert set(server.versions("deleted")) == {"2"}
    direct.repair(_after(6, "deleted", guarded=False))
    assert server.aliases("deleted") == {"champion": "3", "previous": "2"}


def _delete_in_the_database(folder: Path, number: int) -> None:
    """Delete a version as MLflow may: its alias is left behind (mlflow/mlflow#24825)."""
    with closing(sqlite3.connect(folder / ".relkit" / "mlflow.db")) as database, database:
        sql = "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = ?"
        database.execute(sql, [number])


def test_an_alias_on_a_deleted_version_is_named_and_moved_by_an_event(tmp_path: Path) -> None:
    """Nobody moved it; what is served does not wait for the version that held the traffic before.

    Repair makes that one again.
    """
    mirror = _mirror(tmp_path)
    mirror.repair(_after(5))
    _delete_in_the_database(tmp_path, 2)
    assert mirror.compare(_after(5)) == (
        "asr: 1.1 was deleted from the mirror",
        "asr: the alias champion names version 2, which was deleted, not 1.1",
    )
    assert mirror.repair(_after(6)) == (
        "asr: the alias champion: version 2, which was deleted → 1.0",
        "asr: the alias previous: 1.0 → none",
    )
    assert mirror.compare(_after(6)) == (
        "asr: 1.1 was deleted from the mirror",
        "asr: the alias previous is missing: it has to name 1.1",
    )
    mirror.repair(_after(6, guarded=False))
    assert mirror.compare(_after(6)) == ()


def test_every_spelling_of_an_alias_is_moved(direct: MlflowRegistry, server: Server) -> None:
    """A serving system that reads "Champion" follows the ledger as one that reads "champion"."""
    direct.repair(_after(2, "spelled"))
    named = {"name": "spelled", "alias": "Champion", "version": "1"}
    server.call("POST", ALIAS, named)
    assert direct.compare(_after(2, "spelled")) == ()
    direct.repair(_after(5, "spelled"))
    expected = {"champion": "2", "Champion": "2", "previous": "1"}
    assert server.aliases("spelled") == expected
    server.call("DELETE", f"{ALIAS}?name=spelled&alias=champion", {**named, "alias": "champion"})
    assert direct.compare(_after(5, "spelled")) == ()
    server.call("POST", ALIAS, named)
    assert direct.compare(_after(5, "spelled")) == (
        "spelled: the alias Champion names 1.0, not 1.1",
    )


def test_an_imported_version_is_adopted(direct: MlflowRegistry, server: Server) -> None:
    """What was in MLflow before gets relkit's tags, and no second version."""
    server.call("POST", "registered-models/create", {"name": "old"})
    server.call("POST", "model-versions/create", {"name": "old", "source": "s3://bucket/old"})
    server.call("POST", ALIAS, {"name": "old", "alias": "champion", "version": "1"})
    origin = Origin(registry="mlflow", version="1", source="s3://bucket/old")
    release = replace(_release("1.0", "old"), artifact=None, origin=origin)
    imported = _after(2, "old", releases=(release,))
    direct.repair(imported)
    assert direct.compare(imported) == ()
    assert server.versions("old")["1"]["relkit.version"] == "1.0"
    assert len(server.versions("old")) == 1


# Faults


@pytest.fixture
def told(proxy: Proxy, through: MlflowRegistry, request: pytest.FixtureRequest) -> str:
    """Give the name of a model that the server was told of up to event 2."""
    name = "fault-" + "".join(c if c.isalnum() else "-" for c in request.node.name[-30:])
    through.repair(_after(2, name))
    proxy.clear()
    return name


SPOILED: list[tuple[Kind, str]] = [
    ("500", "INTERNAL_ERROR"),
    ("409", "RESOURCE_CONFLICT"),
    ("html", "its answer is not MLflow's: a login page or a proxy may be in the way"),
    ("drop before", "it closed the connection"),
]


@pytest.mark.parametrize(("kind", "reason"), SPOILED)
def test_a_spoiled_server_is_one_clear_message(
    through: MlflowRegistry, proxy: Proxy, told: str, kind: Kind, reason: str
) -> None:
    """Every answer is bad: nothing is written, and the reason is short and holds no body."""
    proxy.fault = ("*", "/api/", kind, 99)
    with pytest.raises(BackendUnavailable) as caught:
        through.repair(_after(5, told))
    place = f"127.0.0.1:{proxy.port}"
    assert caught.value.message == f"MLflow at {place} did not do what the registry needs: {reason}"
    assert proxy.writes() == 0


@pytest.mark.parametrize("kind", ["500", "409", "html", "drop before"])
def test_a_move_that_was_not_done_is_not_tried_again(
    through: MlflowRegistry, proxy: Proxy, server: Server, told: str, kind: Kind
) -> None:
    """The alias is read back: it did not move, that is said, and the next repair moves it once."""
    proxy.fault = ("POST", ALIAS, kind, 1)
    with pytest.raises(BackendUnavailable):
        through.repair(_after(5, told))
    asked = sum(method == "POST" and ALIAS in path for method, path in proxy.seen)
    assert (asked, proxy.writes()) == (1, 0)
    assert server.aliases(told) == {"champion": "1"}
    through.repair(_after(5, told))
    assert server.aliases(told) == {"champion": "2", "previous": "1"}
    assert proxy.writes() == 2


def test_an_answer_of_nothing_is_not_believed(
    through: MlflowRegistry, proxy: Proxy, server: Server, told: str
) -> None:
    """An empty answer to a write says nothing: the aliases are read once more at the end."""
    proxy.fault = ("POST", ALIAS, "empty", 1)
    with pytest.raises(BackendUnavailable, match=r"the alias champion names 1\.0, not 1\.1"):
        through.repair(_after(5, told))
    assert server.aliases(told)["champion"] == "1"


@pytest.mark.parametrize("part", [ALIAS, "model-versions/create", "registered-models/set-tag"])
def test_a_write_whose_answer_was_lost_is_not_done_twice(
    through: MlflowRegistry, proxy: Proxy, server: Server, told: str, part: str
) -> None:
    """The connection drops after the write: it is read back, found done, and the rest goes on."""
    proxy.fault = ("POST", part, "drop after", 1)
    through.repair(_after(5, told))
    assert server.aliases(told) == {"champion": "2", "previous": "1"}
    assert set(server.versions(told)) == {"1", "2"}
    assert (proxy.writes(), proxy.writes("model-versions/create")) == (2, 1)


def test_a_first_model_whose_answer_was_lost_is_made_once(
    through: MlflowRegistry, proxy: Proxy, server: Server
) -> None:
    """The same for the registered model itself."""
    proxy.fault = ("POST", "registered-models/create", "drop after", 1)
    through.repair(_after(2, "first"))
    assert server.aliases("first") == {"champion": "1"}


def test_a_write_that_hangs_is_read_back_in_time(
    tmp_path: Path, proxy: Proxy, server: Server, told: str
) -> None:
    """Done and never answered: half of the time is for the request, the rest for looking."""
    proxy.leave.clear()
    proxy.fault = ("POST", ALIAS, "slow after", 1)
    _mirror(tmp_path, proxy.uri, RELKIT_MLFLOW_TIMEOUT="4").repair(_after(5, told))
    assert server.aliases(told) == {"champion": "2", "previous": "1"}
    assert proxy.writes() == 2
    proxy.leave.set()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, proxy: Proxy, told: str) -> None:
    """It accepts and is silent: one message after the time that was set."""
    proxy.leave.clear()
    proxy.fault = ("*", "/", "silent", 99)
    with pytest.raises(BackendUnavailable) as caught:
        _mirror(tmp_path, proxy.uri, RELKIT_MLFLOW_TIMEOUT="1").compare(_after(2, told))
    assert caught.value.message == f"MLflow did not answer at 127.0.0.1:{proxy.port} in 1 s"
    proxy.leave.set()


def test_a_dead_port_is_named_without_credentials(tmp_path: Path) -> None:
    """Connection refused, told before MLflow is imported."""
    port = free_port()
    with pytest.raises(BackendUnavailable) as caught:
        _mirror(tmp_path, f"http://ann:{HONEY}@127.0.0.1:{port}").compare(_after(2))
    assert caught.value.message == f"MLflow did not answer at 127.0.0.1:{port}: Connection refused"
    assert caught.value.hint is not None
    assert "MLFLOW_REGISTRY_URI" in caught.value.hint


def test_the_registry_s_own_address_wins(tmp_path: Path) -> None:
    """``MLFLOW_REGISTRY_URI`` is asked, not the address of tracking."""
    port = free_port()
    mirror = _mirror(tmp_path, MLFLOW_REGISTRY_URI=f"http://127.0.0.1:{port}")
    with pytest.raises(BackendUnavailable, match=f"127.0.0.1:{port}"):
        mirror.compare(_after(2))


@pytest.mark.parametrize("text", ["soon", "nan", "0", "-1"])
def test_a_time_limit_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """A limit that cannot be read is no limit."""
    with pytest.raises(InvalidInput, match="RELKIT_MLFLOW_TIMEOUT"):
        _mirror(tmp_path, RELKIT_MLFLOW_TIMEOUT=text).compare(_after(2))
