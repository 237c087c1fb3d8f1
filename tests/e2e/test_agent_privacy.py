"""What a user of an agent said, its calls and planted values: in nothing relkit shows or shares.

An agent's run with a token in every text of its records is gated, compared, reported and published
(``tests/honeytokens.py`` tracks one by MLflow); the stand-alone auditor counts answered exchanges.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from relkit.adapters.signing import load_private, make_key
from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.disclosure.leaks import LeakSearch, leak_token
from tests.conftest import Workspace
from tests.e2e.test_agent_suite import agents, evaluated, lines_of, write_lines
from tests.honeytokens import token

pytestmark = pytest.mark.slow

__all__ = ["agents"]

PLACES = (
    "agent's words", "reference", "planted value", "argument", "name of an argument", "readback",
    "request", "error of a tool", "words of a goal", "goal of an event", "broken argument",
    "name of a tool", "words of an event",
)  # fmt: skip
SEARCH = LeakSearch(leak_token(token(place), place, where=place) for place in PLACES)


def plant(agents: Workspace) -> None:
    """Put a token into every text of some rows and of their answers."""
    path = agents.folder / "datasets/calls/manifest.jsonl"
    rows = lines_of(path)
    for row in rows:
        row["text"] += f" {token('reference')}"
        row["case"].setdefault("planted", []).append(token("planted value"))
        if "attack" in row["case"]:
            row["case"]["attack"]["goal"]["says"] = token("words of a goal")
    write_lines(path, rows)
    for name in ("good.jsonl", "obeys.jsonl"):
        answers = lines_of(agents.folder / name)
        for answer in answers:
            answer["text"] += f" {token(PLACES[0])}"
        first, second, third = answers[:3]
        first["tool_calls"][0]["arguments"]["note"] = token("argument")
        first["tool_calls"][0]["arguments"][token("name of an argument")] = 1
        first["tool_calls"][0]["result"] = {"error": token("error of a tool")}
        second["tool_calls"][0]["request"] = token("request")
        second["events"][0]["arguments"]["to"] = token("readback")
        second["events"][1]["text"] = token("words of an event")
        third["tool_calls"].append(
            {"name": "pay", "arguments": f"{{{token('broken argument')}", "t_ms": 9}
        )
        goal = {"says": token("goal of an event")}
        third["events"].append({"t_ms": 9, "kind": "attack", "channel": "said", "goal": goal})
        third["tool_calls"].append({"name": token("name of a tool"), "arguments": {}, "t_ms": 9})
        write_lines(agents.folder / name, answers)


def test_no_text_of_an_agents_run_is_shown_or_shared(agents: Workspace, tmp_path: Path) -> None:
    """Streams, reports, decisions, pages, logs and errors hold numbers and no token."""
    plant(agents)
    make_key(agents.folder / "keys", {})
    with (agents.folder / "relkit.yaml").open("a", encoding="utf-8") as file:
        file.write("signing: {keys: [keys/relkit.pub]}\n")
    good = evaluated(agents)
    obeys = evaluated(agents, "--system", "path=obeys.jsonl")
    key, public = (str(agents.folder / "keys" / name) for name in ("relkit.key", "relkit.pub"))
    decision, page = str(tmp_path / "decision.json"), str(tmp_path / "page.html")
    broken = lines_of(agents.folder / "good.jsonl")
    broken[0]["tool_calls"].append({"name": token("name of a tool"), "type": token("argument")})
    broken[1]["events"][0]["speaker"] = token("readback")
    write_lines(agents.folder / "broken.jsonl", broken)
    write_lines(agents.folder / "broken2.jsonl", broken[1:])
    commands: dict[tuple[str, ...], int] = {
        ("gate", "agent", "--candidate", obeys["run"], "--sign", key, "--decision", decision): 1,
        ("gate", "agent", "--candidate", good["run"], "--github", "--json"): 3,
        ("verify", decision, "--key", public): 0,
        ("compare", good["run"], obeys["run"], "--metric", "injection_success_rate"): 0,
        ("report", obeys["run"], "--output", page): 0,
        ("runs",): 0,
        ("dataset", "stats", "calls"): 0,
        ("eval", "voice-agent", "--system", "path=broken.jsonl"): 2,
        ("eval", "voice-agent", "--system", "path=broken2.jsonl"): 2,
    }
    outputs = [json.dumps(good).encode(), json.dumps(obeys).encode()]
    for command, code in commands.items():
        said = agents.relkit(*command)
        assert said.code == code, (command, said)
        outputs += [said.out.encode(), said.err.encode()]
    kept = [path for path in (agents.folder / ".relkit").rglob("*") if path.is_file()]
    shared = [path for path in kept if path.suffix in {".json", ".jsonl"}]
    assert {"report.json", "run.json", "log.jsonl"} <= {path.name for path in shared}
    outputs += [path.read_bytes() for path in (*shared, Path(decision), Path(page))]
    assert [hit for data in outputs for hit in SEARCH.scan(data)] == []
    records = (agents.folder / "good.jsonl", agents.folder / "datasets/calls/manifest.jsonl")
    planted = b"".join(path.read_bytes() for path in records)
    assert {hit.token for hit in SEARCH.scan(planted)} == set(PLACES)


def audited(script: Path, decision: Path, key: str) -> "subprocess.CompletedProcess[str]":
    """Run the stand-alone verifier."""
    return subprocess.run(
        [sys.executable, str(script), str(decision), "--key", key],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(("failing", "code", "verdict"), [(0, 0, "pass"), (2, 4, "no_data")])
def test_the_auditor_counts_answered_exchanges_itself(
    agents: Workspace, tmp_path: Path, failing: int, code: int, verdict: str
) -> None:
    """A decision that passes although exchanges failed is refused by who trusts no signature."""
    rows = lines_of(agents.folder / "good.jsonl")
    failed = [{"id": row["id"], "error": "timeout"} for row in rows[:failing]]
    write_lines(agents.folder / "good.jsonl", [*failed, *rows[failing:]])
    run = evaluated(agents)["run"]
    path = tmp_path / "decision.json"
    make_key(agents.folder / "keys", {})
    key, public = (str(agents.folder / "keys" / name) for name in ("relkit.key", "relkit.pub"))
    sign = ("--sign", key, "--decision", str(path))
    said = agents.relkit("gate", "agent", "--candidate", run, *sign)
    assert said.code == code, said
    script = tmp_path / "verify_decision.py"
    script.write_text(agents.relkit("verify", "--print-verifier").out, encoding="utf-8")
    done = audited(script, path, public)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdict in done.stdout.replace(" ", "_").casefold()
    if failing:
        return
    envelope = parse_envelope(path.read_bytes(), source=path.name)
    statement = json.loads(envelope.payload)
    for part in statement["predicate"]["parts"]:
        part["coverage"]["failures"] = 2
    forged = Envelope(payload=json.dumps(statement).encode())
    path.write_bytes(render_envelope(load_private(Path(key), {}).sign(forged)))
    done = audited(script, path, public)
    assert done.returncode == 1, done.stdout
    assert "safety is judged on fewer exchanges than the policy asks for" in " ".join(
        (done.stdout + done.stderr).split()
    )
