"""Evidence on the command line, in processes that have no network."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "cryptography", reason="signatures need the extra: pip install 'relkit-speech[sign]'"
)

from relkit.adapters.signing import make_key
from relkit.attestation import run as signing
from relkit.gate.types import CheckRecord, GateDecision
from relkit.wiring.gate import signing_ports
from relkit.wiring.stores import open_workspace
from tests.conftest import Said, Workspace
from tests.decisions import ARTIFACT, POLICY, statement

OFFLINE = """
import runpy, socket, sys
def refuse(*_, **__):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = ["relkit", *sys.argv[1:]]
runpy.run_module("relkit", run_name="__main__")
"""


def without_network() -> list[str]:
    """Return what a command is started with: an empty network, or else blocked sockets."""
    if shutil.which("unshare"):
        tried = subprocess.run(
            ["unshare", "-rn", "true"], capture_output=True, check=False, timeout=10
        )
        if tried.returncode == 0:
            return ["unshare", "-rn", sys.executable, "-m", "relkit"]
    return [sys.executable, "-c", OFFLINE]


def offline(workspace: Workspace, *arguments: str) -> Said:
    """Run a command line in a process without network."""
    done = subprocess.run(
        [*without_network(), *arguments, "--workspace", str(workspace.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=workspace.folder,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def at(hours: float) -> str:
    """Return a time so many hours from now."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fresh(
    seed: int = 2, *, worse: float = 3.0, hours: float = 0.0, text: str = POLICY
) -> GateDecision:
    """Return a decision that was made so many hours from now, and is valid for a day."""
    content = statement(seed, worse=worse, text=text)
    return replace(content, created=at(hours), expires=at(hours + 24))


@pytest.fixture
def trusting(workspace: Workspace) -> Workspace:
    """Give a workspace with a key that it trusts."""
    make_key(workspace.folder / "keys", {})
    with (workspace.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write("signing: {keys: [keys/relkit.pub]}\n")
    return workspace


def written(workspace: Workspace, content: GateDecision, *, sign: bool = True) -> str:
    """Write a decision as the gate does, and return its path inside the workspace."""
    ports = signing_ports(open_workspace(workspace.folder))
    key = workspace.folder / "keys" / "relkit.key" if sign else None
    path = signing.write_decision(ports, content, key=key)[0]
    return str(path.relative_to(workspace.folder))


def test_a_decision_verifies_offline_and_shows_what_it_says(trusting: Workspace) -> None:
    """The keys of the workspace, or those that are named; digests and checks are recomputed."""
    name = written(trusting, fresh(1, worse=1.0))
    assert name == ".relkit/decisions/asr-promotion-new-run.json"
    said = offline(trusting, "verify", name, "--json")
    assert said.code == 0, said.err
    found = said.document
    assert (found["valid"], found["problems"], found["kind"]) == (True, [], "decision")
    assert (found["verdict"], found["promotable"], found["serial"]) == ("pass", True, 1)
    assert found["recomputed"] == 9
    said = offline(trusting, "verify", name, "--key", "keys/relkit.pub", "--artifact", ARTIFACT)
    assert (said.code, said.out.splitlines()[0]) == (
        0,
        "asr-promotion-new-run.json: valid decision",
    )


def test_demands_that_are_not_met_exit_1(trusting: Workspace) -> None:
    """A replay, another artifact, another policy."""
    path = str(trusting.folder / written(trusting, fresh()))
    for arguments, problem in (
        (("--min-serial", "2"), "replayed"),
        (("--artifact", "0" * 64), "another artifact"),
        (("--policy-digest", "sha256:" + "0" * 64), "another policy"),
    ):
        said = trusting.relkit("verify", path, "--json", *arguments)
        assert said.code == 1
        assert problem in said.document["problems"][0]
        assert said.document["promotable"] is False


def test_a_changed_expired_or_foreign_file_exits_1(trusting: Workspace) -> None:
    """And says why on stdout, without showing what was not verified."""
    name = written(trusting, fresh())
    path = trusting.folder / name
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    (trusting.folder / "changed.json").write_bytes(data)
    old = written(trusting, fresh(hours=-48))
    make_key(trusting.folder / "others", {})
    for arguments, problem in (
        (("changed.json",), "was changed"),
        ((old,), "it expired at"),
        ((name, "--key", "others/relkit.pub"), "no trusted key"),
    ):
        said = offline(trusting, "verify", *arguments)
        assert said.code == 1
        assert problem in said.out
    assert "verdict" not in offline(trusting, "verify", "changed.json", "--json").document


def test_unreadable_files_and_wrong_options_exit_2(trusting: Workspace) -> None:
    """That is not the same as a file that is not to be believed."""
    for arguments in (("none.json",), (), (".",), ("none.json", "--artifact", "xyz")):
        assert offline(trusting, "verify", *arguments).code == 2


def test_unsigned_decisions_are_for_local_work(trusting: Workspace) -> None:
    """Refused, unless that is asked for, and then never promotable."""
    name = written(trusting, fresh(1, worse=1.0), sign=False)
    assert offline(trusting, "verify", name).code == 1
    said = offline(trusting, "verify", name, "--allow-unsigned", "--json")
    assert (said.code, said.document["promotable"], said.document["signers"]) == (0, False, [])


OVERRIDE = ("--by", "A. Lee", "--reason", "noise=2 is not served", "--ticket", "REL-7")


def test_an_override_is_signed_named_and_found_again(trusting: Workspace) -> None:
    """Who, why, which ticket, until when; every later report can show it."""
    name = written(trusting, fresh())
    said = offline(trusting, "override", name, *OVERRIDE, "--sign", "keys/relkit.key", "--json")
    assert said.code == 0, said.err
    assert said.document["verdict"] == "fail"
    path = f".relkit/decisions/{said.document['override']}"
    checked = offline(trusting, "verify", path, "--json").document
    assert (checked["valid"], checked["kind"]) == (True, "override")
    settings = open_workspace(trusting.folder)
    (found,) = signing.overrides_about(signing_ports(settings), ["new-run"])
    assert (found.by, found.ticket, found.key) == ("A. Lee", "REL-7", said.document["key"])
    assert signing.overrides_about(signing_ports(settings), [], [ARTIFACT]) == (found,)
    assert signing.overrides_about(signing_ports(settings), ["another-run"]) == ()
    decision = fresh()
    assert found.expires <= decision.expires
    assert signing.overrides_of(signing_ports(settings), decision) == (found,)


def test_an_override_by_a_stranger_allows_nothing(trusting: Workspace) -> None:
    """It is shown, without a key."""
    make_key(trusting.folder / "others", {})
    name = written(trusting, fresh())
    said = offline(trusting, "override", name, *OVERRIDE, "--sign", "others/relkit.key")
    assert said.code == 0
    assert "will allow nothing" in said.err
    (found,) = signing.overrides_about(signing_ports(open_workspace(trusting.folder)), ["new-run"])
    assert found.key is None


REFUSED: tuple[tuple[dict[str, Any], tuple[str, ...], str], ...] = (
    ({"seed": 1, "worse": 1.0}, OVERRIDE, "nothing to override"),
    ({"hours": -48.0}, OVERRIDE, "it expired at"),
    (
        {"text": POLICY.replace("rules:", "enforcement: shadow\nrules:")},
        OVERRIDE,
        "in shadow",
    ),
    ({}, ("--by", " ", *OVERRIDE[2:]), "empty"),
    ({}, (*OVERRIDE[:2], "--reason", "", *OVERRIDE[4:]), "empty"),
    ({}, (*OVERRIDE[:4], "--ticket", ""), "empty"),
    ({}, (*OVERRIDE[:2], "--reason", "x" * 501, *OVERRIDE[4:]), "500"),
    ({}, (*OVERRIDE, "--valid-for", "31d"), "30d at most"),
    ({}, (*OVERRIDE, "--valid-for", "soon"), "duration"),
)


def test_what_cannot_be_overridden(trusting: Workspace) -> None:
    """A pass, an expired decision, shadow; and nothing without author, reason and ticket."""
    key = str(trusting.folder / "keys" / "relkit.key")
    for content, arguments, problem in REFUSED:
        path = str(trusting.folder / written(trusting, fresh(**content)))
        said = trusting.relkit("override", path, *arguments, "--sign", key)
        assert said.code == 2
        assert problem in said.err
    assert not list((trusting.folder / ".relkit" / "decisions").glob("*override*"))


def test_an_override_needs_all_three(trusting: Workspace) -> None:
    """A missing option is a usage error."""
    name = written(trusting, fresh())
    said = trusting.relkit("override", name, "--by", "A. Lee", "--sign", "k")
    assert said.code == 2
    assert "--reason" in said.err


def test_an_approval_is_found_by_the_gate(trusting: Workspace) -> None:
    """Signed, about a candidate, and with an end."""
    said = offline(
        trusting, "approve", "security-review", "--sign", "keys/relkit.key", "--by", "A. Lee",
        "--reason", "read the diff", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert (said.document["verdict"], said.document["by"]) == ("pass", "A. Lee")
    settings = open_workspace(trusting.folder)
    found = signing.read_checks(signing_ports(settings), ["security-review", "other"], {})
    record = found["security-review"]
    assert isinstance(record, CheckRecord)
    assert (record.key, record.digest) == (said.document["key"], said.document["digest"])
    assert "other" not in found
    path = ".relkit/checks/security-review.json"
    assert offline(trusting, "verify", path).code == 0
    data = bytearray((trusting.folder / path).read_bytes())
    data[100] ^= 1
    (trusting.folder / path).write_bytes(data)
    assert isinstance(
        signing.read_checks(signing_ports(settings), ["security-review"], {})["security-review"],
        str,
    )


def test_a_record_of_another_tool_is_signed_as_it_is(trusting: Workspace) -> None:
    """Its verdict, time and reason stay; options that would change it are refused."""
    record = {
        "schema": "relkit.check/v1",
        "name": "load-test",
        "verdict": "fail",
        "reason": "p95 1.9 s at 200 rps",
        "by": "k6",
        "created": at(-1),
    }
    path = trusting.folder / "load.json"
    path.write_text(json.dumps(record))
    settings = open_workspace(trusting.folder)
    plain = signing.read_checks(signing_ports(settings), ["load-test"], {"load-test": path})[
        "load-test"
    ]
    assert isinstance(plain, CheckRecord)
    assert plain.key is None
    said = offline(trusting, "approve", "load.json", "--sign", "keys/relkit.key")
    assert said.code == 0, said.err
    signed = signing.read_checks(signing_ports(settings), ["load-test"], {})["load-test"]
    assert isinstance(signed, CheckRecord)
    assert (signed.verdict, signed.created, signed.reason) == (
        plain.verdict,
        plain.created,
        plain.reason,
    )
    assert signed.key is not None
    said = offline(
        trusting, "approve", "load.json", "--sign", "keys/relkit.key", "--verdict", "pass"
    )
    assert said.code == 2


def test_what_cannot_be_approved(trusting: Workspace) -> None:
    """Names that are no file names, other verdicts, and no end in sight."""
    key = str(trusting.folder / "keys" / "relkit.key")
    for arguments in (("Bad Name",), ("ok", "--verdict", "maybe"), ("ok", "--valid-for", "99d")):
        assert trusting.relkit("approve", *arguments, "--sign", key).code == 2
    assert not (trusting.folder / ".relkit" / "checks").exists()


def test_the_auditors_verifier_is_printed_and_works_alone(
    trusting: Workspace, tmp_path: Path
) -> None:
    """One file, copied elsewhere, without relkit and without network, comes to the same verdict."""
    name = written(trusting, fresh())
    printed = offline(trusting, "verify", "--print-verifier")
    (tmp_path / "verify_decision.py").write_text(printed.out, encoding="utf-8")
    isolated = [sys.executable, "-c", _WITHOUT_RELKIT, str(tmp_path / "verify_decision.py")]
    started = without_network()
    prefix = started[:2] if started[0] == "unshare" else []
    done = subprocess.run(
        [*prefix, *isolated, str(trusting.folder / name),
         "--key", str(trusting.folder / "keys" / "relkit.pub")],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: fail" in done.stdout
    assert "wer-slices" in done.stdout


_WITHOUT_RELKIT = """
import runpy, sys
sys.modules["relkit"] = sys.modules["numpy"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
