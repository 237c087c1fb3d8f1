"""``relkit canary`` as users type it: verdicts, exit codes, and telemetry that is not fit."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.ledgers import LedgerFiles
from relkit.adapters.releases import ReleaseFiles
from relkit.attestation.auditor import CanaryAudit
from relkit.core.digests import canonical
from relkit.registry.types import Artifact, EventKind
from tests.canary_data import NOW, POLICY, Row, at, minutes, turns, write_turns
from tests.conftest import Workspace
from tests.release_data import DIGEST, OTHER, event, release

EASY = POLICY.replace("detectable: 2,", "detectable: 3,")
REFERENCE = turns(700, seed=9, share=0.0, began="2026-02-28T12:00:00Z")
EQUAL = turns(2600, seed=5)
HARM = turns(400, seed=6, fail=(0.02, 0.15))


class Rollout:
    """A workspace with a policy, and telemetry beside it."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        """Begin with the reference."""
        self.workspace, self.folder = workspace, folder
        self.policy(EASY)
        self.reference = write_turns(folder / "reference.parquet", REFERENCE)

    def policy(self, text: str) -> None:
        """Write the policy."""
        (self.workspace.folder / "gates" / "rollout.yaml").write_text(text, encoding="utf-8")

    def canary(self, rows: list[Row] | str, *options: str) -> tuple[int, dict[str, Any]]:
        """Judge turns, or a file; return exit code and document.

        Whatever was decided, the auditors' file comes to the same from the decision.
        """
        path = rows if isinstance(rows, str) else write_turns(self.folder / "turns.parquet", rows)
        arguments = ("--telemetry", path, "--reference", self.reference, "--now", NOW, *options)
        decision = self.folder / "every.json"
        if "--decision" not in options:
            arguments += ("--decision", str(decision))
        said = self.workspace.relkit("canary", "rollout", *arguments, "--json")
        if decision.is_file():
            assert CanaryAudit(opened(decision)["predicate"]).problems == []
            decision.unlink()
        return said.code, said.document


@pytest.fixture
def rollout(workspace: Workspace, tmp_path: Path) -> Rollout:
    """Give a rollout."""
    return Rollout(workspace, tmp_path)


def test_an_equal_canary_advances(rollout: Rollout) -> None:
    """Exit 0, with the next share, the reasons and a decision on disk that holds the histogram."""
    code, document = rollout.canary(EQUAL, "--decision", str(rollout.folder / "decision.json"))
    assert (code, document["verdict"], document["gate_verdict"]) == (0, "advance", "pass")
    assert document["next_step"] == {"index": 2, "share": 0.5}
    decision = opened(rollout.folder / "decision.json")["predicate"]
    cells = [
        entry
        for entry in decision["histogram"]
        if (entry["trigger"], entry["slice"]) == ("failures", "overall")
    ]
    assert sum(turns * units for turns, _, units in cells[0]["canary"]) == sum(
        row["arm"] == "canary" for row in EQUAL
    )


def test_a_harmful_canary_is_rolled_back_for_good(rollout: Rollout) -> None:
    """Exit 1 with one sentence; what comes later cannot take it back."""
    state = str(rollout.folder / "rollout.state")
    path = write_turns(rollout.folder / "harm.parquet", HARM)
    arguments = ("--telemetry", path, "--reference", rollout.reference, "--now", NOW)
    said = rollout.workspace.relkit("canary", "rollout", *arguments, "--state", state)
    assert said.code == 1
    first = " ".join(said.out.split())
    assert first.startswith("ROLL BACK rollout: failures in ")
    assert "needed 20; an equal canary would reach 20 by chance in one rollout of 20" in first
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert len(said.out.splitlines()) <= 24
    later = [row | {"ts": row["ts"] + minutes(400)} for row in EQUAL]
    code, document = rollout.canary(later, "--state", state, "--now", "2026-03-02T02:00:00Z")
    assert (code, document["verdict"]) == (1, "roll_back")
    assert "final" in document["reason_codes"]


def test_shadow_shows_the_verdict_and_exits_0(rollout: Rollout) -> None:
    """A team can start before it trusts."""
    rollout.policy(EASY.replace("name: rollout", "name: rollout\nenforcement: shadow"))
    code, document = rollout.canary(HARM)
    assert (code, document["verdict"], document["enforcement"]) == (0, "roll_back", "shadow")


def opened(path: Path) -> Any:  # noqa: ANN401 - a statement
    """Return the statement in an envelope."""
    return json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))


def test_a_signed_decision_is_judged_again_by_others(rollout: Rollout) -> None:
    """``verify`` recomputes all evidence from the histogram, and so does the auditors' file."""
    pytest.importorskip("cryptography")
    folder, relkit = rollout.folder, rollout.workspace.relkit
    assert relkit("doctor", "--make-key", str(folder)).code in {0, 1, 3}
    decision = folder / "decision.json"
    signed = ("--decision", str(decision), "--sign", str(folder / "relkit.key"))
    rollout.policy(EASY.replace("limits:", COST))
    rows = [row | {"cost": 0.001 * (1 + i % 5)} for i, row in enumerate(EQUAL)]
    assert rollout.canary(rows, *signed)[1]["verdict"] == "advance"
    verify = ("verify", str(decision), "--key", str(folder / "relkit.pub"), "--json")
    document = relkit(*verify).document
    assert document["problems"] == []
    assert (document["kind"], document["recomputed"]) == ("canary decision", 20)
    verifier = folder / "verifier.py"
    verifier.write_text(relkit("verify", "--print-verifier").out)
    audited = subprocess.run(
        [sys.executable, verifier, decision, "--key", folder / "relkit.pub"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (audited.returncode, audited.stdout.splitlines()[-2:]) == (
        0,
        ["verdict: advance", "valid"],
    )
    statement = opened(decision)
    entries = statement["predicate"]["histogram"]
    next(e for e in entries if e["trigger"] == "failures")["canary"][0][2] += 40
    payload = base64.b64encode(canonical(statement)).decode()
    forged = json.loads(decision.read_text()) | {"payload": payload, "signatures": []}
    decision.write_text(json.dumps(forged))
    document = relkit("verify", str(decision), "--allow-unsigned", "--json").document
    assert not document["valid"]
    assert any("failures on language=de: evidence is" in said for said in document["problems"])


def test_a_decision_that_cannot_be_signed_is_not_made(rollout: Rollout) -> None:
    """The key is read before any turn is: no state goes on without its decision."""
    pytest.importorskip("cryptography")
    folder = rollout.folder
    files = ("--state", str(folder / "s.state"), "--decision", str(folder / "d.json"))
    key = folder / "none.key"
    code, document = rollout.canary(EQUAL, *files, "--sign", str(key))
    assert (code, "none.key" in document["error"]["message"]) == (2, True)
    assert not (folder / "s.state").exists()
    assert not (folder / "d.json").exists()


COST = """\
  - {id: cost, mean: cost, per: session, detectable: 50%}
limits:"""

Change = Callable[[list[Row]], list[Row]]


def each(change: Callable[[int, Row], dict[str, Any]]) -> Change:
    """Return a change of every turn by its number."""
    return lambda rows: [row | change(i, row) for i, row in enumerate(rows)]


BAD: dict[str, tuple[Change, int, str]] = {
    "no turn at all": (lambda rows: rows[:0], 4, "no_data"),
    "only control": (each(lambda _, __: {"arm": "control"}), 3, "one_arm"),
    "only canary": (each(lambda _, __: {"arm": "canary"}), 3, "one_arm"),
    "no event": (
        lambda rows: [
            row | {"ok": True, "outcome": "completed", "latency_ms": 500.0} for row in rows[:2000]
        ],
        3,
        "not_ruled_out:failures",
    ),
    "nothing but events": (
        each(lambda _, __: {"ok": False, "outcome": "failed", "latency_ms": None}),
        1,
        "limit:hard",
    ),
    "constant times": (
        each(lambda _, row: {"latency_ms": 700.0 if row["ok"] else None}),
        3,
        "constant:latency_ms",
    ),
    "not a number": (
        each(lambda i, row: {"latency_ms": float("nan") if i % 20 == 0 else row["latency_ms"]}),
        3,
        "missing_data",
    ),
    "negative times": (
        each(lambda i, row: {"latency_ms": -5.0 if i % 20 == 0 else row["latency_ms"]}),
        3,
        "missing_data",
    ),
    "absurd times": (
        each(lambda i, row: {"latency_ms": 1e12 if i % 20 == 0 else row["latency_ms"]}),
        3,
        "missing_data",
    ),
    "no time at all": (each(lambda _, __: {"latency_ms": None}), 3, "not_ruled_out:latency.p95"),
    "times of the future": (
        each(lambda i, row: {"ts": row["ts"] + minutes(60 * 24) if i % 30 == 0 else row["ts"]}),
        3,
        "missing_data",
    ),
    "arms that nobody knows": (
        each(lambda i, row: {"arm": "blue" if i % 30 == 0 else row["arm"]}),
        3,
        "missing_data",
    ),
    "sessions in both arms": (
        each(lambda i, row: {"arm": "control" if i % 17 == 0 else row["arm"]}),
        3,
        "missing_data",
    ),
    "control changes its release": (
        each(
            lambda _, row: {
                "release": "1.5.0"
                if row["arm"] == "canary"
                else "1.4.1"
                if row["ts"] > at("2026-03-01T15:00:00Z")
                else "1.4.0"
            }
        ),
        3,
        "control_changed",
    ),
    "another share than the step's": (
        lambda rows: [row for row in rows if row["arm"] == "canary" or row["session"][-1] < "5"],
        3,
        "sample_ratio",
    ),
    "turns of yesterday": (
        each(lambda _, row: {"ts": row["ts"] - minutes(60 * 24)}),
        4,
        "no_data",
    ),
    "turns that ended hours ago": (
        lambda rows: [row for row in rows if row["ts"] < at("2026-03-01T14:00:00Z")],
        3,
        "stale:4 hours",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_strange_telemetry_never_advances(name: str, rollout: Rollout) -> None:
    """Every kind of it holds, is no data or breaks a limit; the reason is a code and in words."""
    change, exit_code, reason = BAD[name]
    code, document = rollout.canary(change(EQUAL))
    assert code == exit_code, document["reason_codes"]
    assert document["verdict"] != "advance"
    assert reason in document["reason_codes"]
    assert document["reason"]


def test_a_slice_that_only_one_arm_has_is_no_harm_and_shows_none(rollout: Rollout) -> None:
    """It is no data, and named among those that could hide a harm."""
    rows = [
        row | {"language": "ta"} if row["session"].endswith("7") and row["arm"] == "canary" else row
        for row in EQUAL
    ]
    _, document = rollout.canary(rows)
    check = next(c for c in document["checks"] if c["slice"] == "language=ta")
    assert (check["status"], check["evidence"]) == ("no_data", 1.0)
    assert check["reason"] == "only the canary has units here"
    assert "language=ta" in {blind["slice"] for blind in document["blind"]}


REFUSED: dict[str, tuple[str, Callable[[str], bytes], str]] = {
    "half a JSON line": ("t.jsonl", lambda text: text[:-40].encode(), "t.jsonl"),
    "a cut gzip": ("t.jsonl.gz", lambda text: gzip.compress(text.encode())[:-30], "t.jsonl.gz"),
    "a misspelt column": (
        "t.jsonl",
        lambda text: text.replace("language", "langauge").encode(),
        'no attribute "language"',
    ),
    "no arm": ("t.jsonl", lambda text: text.replace('"arm"', '"group"').encode(), '"arm"'),
}


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(name: str, rollout: Rollout) -> None:
    """Exit 2 with one message that names the file or column, and no traceback."""
    file, change, message = REFUSED[name]
    text = "\n".join(json.dumps(row | {"ts": row["ts"].isoformat()}) for row in EQUAL[:500])
    code, document = rollout.canary(_written(rollout.folder / file, change(text + "\n")))
    assert code == 2
    assert message in document["error"]["message"]


def test_a_cut_parquet_file_is_refused(rollout: Rollout) -> None:
    """A file that is still being written has no end."""
    path = Path(write_turns(rollout.folder / "t.parquet", EQUAL[:500]))
    code, document = rollout.canary(_written(path, path.read_bytes()[:-200]))
    assert code == 2
    assert "t.parquet" in document["error"]["message"]
    assert rollout.canary(str(rollout.folder / "nothing.parquet"))[0] == 2


def test_naive_times_hold(rollout: Rollout) -> None:
    """A time without an offset may be hours off: it is left out, counted, and too many hold."""
    lines = [
        json.dumps(
            row | {"ts": row["ts"].isoformat() if i % 20 else f"{row['ts']:%Y-%m-%dT%H:%M:%S}"}
        )
        for i, row in enumerate(EQUAL)
    ]
    code, document = rollout.canary(_written(rollout.folder / "t.jsonl", "\n".join(lines).encode()))
    assert code == 3
    assert "missing_data" in document["reason_codes"]
    assert document["turns"]["naive"] == -(-len(EQUAL) // 20)


def test_states_that_are_not_this_rollouts_are_refused(rollout: Rollout) -> None:
    """Edited, older, gone, of another policy or of another step: each is said, with exit 2."""
    path = rollout.folder / "s.json"
    rollout.canary(EQUAL[:3000], "--state", str(path))
    first = path.read_bytes()
    assert rollout.canary(EQUAL, "--state", str(path))[0] in {0, 3}

    def refused(data: bytes | None) -> str:
        path.unlink() if data is None else path.write_bytes(data)
        code, document = rollout.canary(EQUAL, "--state", str(path))
        assert code == 2
        message: str = document["error"]["message"]
        return message

    newest = path.read_bytes()
    (anchor,) = (rollout.workspace.folder / ".relkit" / "canary").glob("*.json")
    remembered = anchor.read_text()
    anchor.write_text(json.dumps({"sequence": 1, "digest": json.loads(first)["digest"]}))
    assert rollout.canary(EQUAL, "--state", str(path))[0] in {0, 3}  # killed between two writes
    path.write_bytes(newest)
    anchor.write_text(remembered)
    assert "is older than the state" in refused(first)
    assert "was edited" in refused(newest.replace(b'"used": ', b'"used": 9'))
    assert "s.json" in refused(newest[: len(newest) // 2])
    assert "is gone" in refused(None)
    path.write_bytes(newest)
    rollout.policy(EASY.replace("max: 50%", "max: 40%"))
    assert "is of another policy" in refused(newest)
    rollout.policy(EASY)
    assert rollout.canary(EQUAL, "--state", str(path))[0] in {0, 3}


SIM = """\
schema: relkit.canary/v1
name: rollout
control: {release: "1.4.0"}
canary: {release: "1.5.0"}
slices: [language]
steps: [{share: 50%, min_duration: 8h, detectable: 2, from: 2026-01-05T00:00:00Z}]
triggers:
  - {id: failures, rate: failed}
  - {id: empty, rate: no_answer, mode: watch}
  - {id: latency, tail: latency_ms, at: [p50, p95, p99]}
  - {id: stages, tail: [asr_ms, llm_ttft_ms], at: [p95], mode: watch}
"""


@pytest.mark.parametrize(
    "scenario", ["equal", "harm", "slice", "tails", "fast-timeouts", "sample-ratio", "both-arms"]
)
def test_simulated_faults_get_the_verdict_they_should(scenario: str, rollout: Rollout) -> None:
    """What the generator says that a right tool says."""
    folder = rollout.folder / "traffic"
    options = ("--scenario", scenario, "--turns", "20000", "--seed", "1")
    assert rollout.workspace.relkit("simulate", "telemetry", str(folder), *options).code == 0
    rollout.policy(SIM)
    file = rollout.folder / "decision.json"
    arguments = ("--telemetry", str(folder), "--now", "2026-01-06T00:00:00Z", "--json")
    said = rollout.workspace.relkit("canary", "rollout", *arguments, "--decision", str(file))
    assert CanaryAudit(opened(file)["predicate"]).problems == []
    expected = json.loads((folder / "scenario.json").read_text())["scenario"]["expected"]["canary"]
    assert said.document["verdict"] in expected, said.document["reason_codes"]
    assert said.code == {"advance": 0, "roll_back": 1, "hold": 3}[said.document["verdict"]]


def test_a_file_that_grows_between_looks_is_said(rollout: Rollout) -> None:
    """Its turns that were seen count as late, which people are told how to avoid."""
    path = rollout.folder / "grows.parquet"
    arguments = ["--telemetry", str(path), "--reference", rollout.reference, "--now", NOW]
    arguments += ["--state", str(rollout.folder / "rollout.state")]
    for rows in (EQUAL[: len(EQUAL) // 2], EQUAL):
        write_turns(path, rows)
        said = rollout.workspace.relkit("canary", "rollout", *arguments)
    assert said.code == 3
    assert "of a file that has grown since it was read count as late" in said.out


def test_lines_that_are_appended_are_read_from_where_they_began(rollout: Rollout) -> None:
    """A file of JSON lines that grows gives what two files give, and nothing counts twice."""
    path, reports = rollout.folder / "grows.jsonl", []
    half = len(EQUAL) // 2
    for name, parts in {"whole": [EQUAL], "grows": [EQUAL[:half], EQUAL]}.items():
        for rows in parts:
            lines = (json.dumps(row, default=str) for row in rows)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            said = rollout.workspace.relkit(
                *("canary", "rollout", "--telemetry", str(path), "--now", NOW, "--json"),
                *("--reference", rollout.reference, "--state", str(rollout.folder / name)),
            )
        reports.append(said.document)
    assert reports[0]["evidence"] == pytest.approx(reports[1]["evidence"], rel=1e-9)
    assert reports[0]["turns"] == reports[1]["turns"]
    assert reports[1]["turns"]["late"] == reports[1]["turns"]["duplicate"] == 0


def test_late_rows_hold_look_by_look(rollout: Rollout) -> None:
    """Rows that come an hour late are counted, not used, and are too many to advance."""
    folder = rollout.folder / "traffic"
    options = ("--scenario", "late-rows", "--turns", "6000", "--seed", "3")
    rollout.workspace.relkit("simulate", "telemetry", str(folder), *options)
    rollout.policy(SIM)
    state = str(rollout.folder / "s.json")
    files = sorted(folder.glob("*.parquet"))
    for part in (files[:10], files[10:14], files[14:]):
        named = [word for file in part for word in ("--telemetry", str(file))]
        said = rollout.workspace.relkit(
            "canary", "rollout", *named, "--state", state, "--now", "2026-01-06T00:00:00Z", "--json"
        )
    assert said.document["turns"]["late"] > 0
    assert said.document["verdict"] == "hold"


def served(rollout: Rollout, *steps: tuple[str, float]) -> LedgerFiles:
    """Write a ledger in which 1.5.0 is a canary of 1.4.0 with these steps."""
    folder = rollout.workspace.folder
    ledger = LedgerFiles(folder / "registry" / "events", locks=folder / ".relkit" / "locks")
    events = [
        event(EventKind.REGISTERED, "1.4.0", at="2026-02-01T00:00:00Z", release=DIGEST),
        event(EventKind.REGISTERED, "1.5.0", at="2026-02-28T00:00:00Z", release=DIGEST),
        event(EventKind.PROMOTED, "1.4.0", at="2026-02-28T01:00:00Z", traffic=1.0, decision=DIGEST),
        *(
            event(EventKind.CANARY, "1.5.0", at=since, traffic=share, decision=DIGEST)
            for since, share in steps
        ),
    ]
    for number, each_event in enumerate(events):
        ledger.append(each_event, expected=number)
    rollout.policy(
        EASY.replace("control: {arm: control}\ncanary: {arm: canary}\n", "model: asr\n").replace(
            ", from: 2026-03-01T12:00:00Z", ""
        )
    )
    return ledger


def with_release(rows: list[Row]) -> list[Row]:
    """Return turns that name their release."""
    return [row | {"release": "1.5.0" if row["arm"] == "canary" else "1.4.0"} for row in rows]


def test_the_ledger_says_step_and_releases_and_takes_the_verdict(rollout: Rollout) -> None:
    """A rollback is recorded once, is final, and prints the command with the slice that fails."""
    ledger = served(rollout, ("2026-03-01T12:00:00Z", 0.25))
    only = [
        row | ({"ok": False, "outcome": "failed", "latency_ms": None} if i % 4 == 0 else {})
        if row["arm"] == "canary" and row["language"] == "fr"
        else row
        for i, row in enumerate(EQUAL)
    ]
    code, document = rollout.canary(with_release(only))
    assert (code, document["verdict"]) == (1, "roll_back")
    assert document["rollback"] == "relkit rollback asr --bad 1.5.0 --slice language=fr"
    about = {"model": "asr", "control": "1.4.0", "canary": "1.5.0", "artifact": None}
    assert document["subject"] == about
    last = ledger.events("asr")[-1]
    assert (last.kind, last.version, last.traffic) == (EventKind.HELD, "1.5.0", 0.25)
    assert last.reason.startswith("canary rolled back: harm:")
    code, document = rollout.canary(with_release(EQUAL))
    assert (code, document["verdict"]) == (1, "roll_back")
    assert "final" in document["reason_codes"]
    assert len(ledger.events("asr")) == 5


def test_the_subject_is_the_artifact_that_the_registry_knows(rollout: Rollout) -> None:
    """Who has the artifact finds the decision about it."""
    served(rollout, ("2026-03-01T12:00:00Z", 0.25))
    releases = ReleaseFiles(rollout.workspace.folder / "registry" / "releases")
    artifact = Artifact(digest=OTHER, reference=f"ghcr.io/acme/asr@{OTHER}")
    releases.write(release("1.5.0", artifact=artifact))
    file = rollout.folder / "d.json"
    _, document = rollout.canary(with_release(EQUAL), "--decision", str(file))
    assert document["subject"]["artifact"] == OTHER
    digest = {"sha256": OTHER.removeprefix("sha256:")}
    assert opened(file)["subject"] == [{"name": "1.5.0", "digest": digest}]
    verify = ("verify", str(file), "--allow-unsigned", "--artifact", OTHER, "--json")
    assert rollout.workspace.relkit(*verify).document["problems"] == []


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "asr has no release in canary"),
        ((("2026-03-01T12:00:00Z", 0.3),), "which is no step of the policy"),
    ],
)
def test_a_ledger_that_does_not_fit_the_policy_is_refused(
    steps: tuple[tuple[str, float], ...], message: str, rollout: Rollout
) -> None:
    """No canary, or a share that is no step: exit 2, with what to do."""
    served(rollout, *steps)
    code, document = rollout.canary(with_release(EQUAL))
    assert code == 2
    assert message in document["error"]["message"]
    assert document["error"]["hint"]
