"""Tokens planted wherever people's data lies, and every command of relkit run over them.

Shared by ``tests/e2e/test_honeytokens.py`` and ``python -m benchmarks.honeytokens``.
"""

import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from relkit.adapters.leaks import LeakFiles
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.cli.boundary import run
from relkit.core.codec import encode
from relkit.disclosure.leaks import LeakSearch, leak_token
from tests.asr_server import AsrServer, _Handler
from tests.builders import commit_all, git
from tests.cost_data import PRICES
from tests.packet_turns import NOW, REPORT, WINDOW, turns

PLACES = (
    "transcript", "answer", "utterance id", "speaker", "slice value", "clip path", "audio metadata",
    "column of the manifest", "YAML comment", "folder", "environment", "endpoint error",
    "commit message", "MLflow tag", "by", "reason", "ticket", "owner", "session", "user", "turn id",
    "tenant", "text column", "error of a call",
)  # fmt: skip
"""Where a token is planted."""


def token(place: str) -> str:
    """Return the token of a place: letters and digits that occur nowhere else."""
    digest = hashlib.sha256(f"honey {place}".encode()).hexdigest()
    letters = "".join(chr(ord("a") + int(char, 16)) for char in digest[:8])
    return f"{letters[:4]}-{int(digest[8:16], 16) % 10**6:06}-{letters[4:]}"


SEARCH = LeakSearch(leak_token(token(place), place, where=place) for place in PLACES)


class _Refusing(_Handler):
    """Refuses as servers do: with what it was sent, and something of its own."""

    def fail(self, fault: str) -> None:
        """Answer with an error."""
        words = f"{token('endpoint error')}: no speech in {self.headers['Authorization']}"
        body = {"error": {"message": words, "param": token("endpoint error")}}
        self.send(int(fault), json.dumps(body).encode())


class RefusingServer(AsrServer):
    """A server of OpenAI's transcription API whose errors hold a token."""

    handler = _Refusing


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command left: on a stream, or in a file that is made to be shared."""

    command: str
    stream: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A token in an output."""

    place: str
    encoding: str
    command: str
    stream: str


@dataclass(slots=True)
class Hive:
    """A workspace full of tokens, and what every command left of them."""

    folder: Path
    outputs: list[Output] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The folder of what is made to be shared."""
        return self.folder.parent / "out"

    def relkit(self, label: str, *arguments: str) -> str:
        """Run a command in this process; keep its streams and every file it made to be shared."""
        self.out.mkdir(exist_ok=True)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run([*arguments, "--workspace", str(self.folder)])
        self.codes[label] = code
        for stream, text in (("stdout", out.getvalue()), ("stderr", err.getvalue())):
            self.outputs.append(Output(command=label, stream=stream, data=text.encode()))
        for path in sorted(path for path in self.out.rglob("*") if path.is_file()):
            self.keep(label, path)
        shutil.rmtree(self.out)
        return out.getvalue()

    def keep(self, label: str, path: Path) -> None:
        """Keep a file with its name."""
        kind = path.name.partition(".")[2] or path.name
        self.outputs += [
            Output(command=label, stream=kind, data=path.read_bytes()),
            Output(command=label, stream="file name", data=os.fsencode(path.name)),
        ]

    def leaks(self) -> list[Leak]:
        """Return every token in every output."""
        return [
            Leak(
                place=hit.token, encoding=hit.encoding, command=output.command, stream=output.stream
            )
            for output in self.outputs
            for hit in SEARCH.scan(output.data)
        ]


# --- What is planted ---

ENDED = "2026-11-01T15:00:00Z"
"""When the last of the turns were taken."""

SPEAKERS, EACH = 12, 8
ACCENTS = ("american", "british", "scottish")


def plant(folder: Path, base_url: str) -> Hive:
    """Write a workspace with a token in every place; ``base_url`` is of a refusing server."""
    workspace = folder / token("folder") / "workspace"
    write_scaffold(workspace, scaffold_source())
    shutil.rmtree(workspace / "datasets" / "assistant-commands")
    git(workspace, "init", "--quiet")
    _dataset(workspace / "datasets" / "calls")
    for name in ("older", "newer"):
        _answers(workspace, name)
    _suite(workspace, "heard", "{kind: recorded, path: older.jsonl}")
    hosted = f'{{kind: openai-http, base_url: "{base_url}", model: m, api_key_env: ASR_KEY}}'
    _suite(workspace, "hosted", hosted)
    for name, text in _POLICIES.items():
        (workspace / "gates" / f"{name}.yaml").write_text(f"# {token('YAML comment')}\n{text}")
    (workspace / "prices.yaml").write_text(f"# {token('YAML comment')}\n{PRICES}")
    with (workspace / "relkit.yaml").open("a") as file:
        file.write(f"# {token('YAML comment')}\n{_SETTINGS}")
    _telemetry(workspace)
    commit_all(workspace, f"Say {token('commit message')}")
    return Hive(folder=workspace)


_SETTINGS = """\
signing: {keys: [keys/relkit.pub]}
privacy:
  ci: shared
  share: {accent: [american]}
"""


def _dataset(folder: Path) -> None:
    rows = []
    for speaker in range(SPEAKERS):
        for number in range(EACH):
            name = f"{token('clip path')}-{speaker}-{number}"
            rows.append(
                {
                    "audio_filepath": f"audio/{name}.flac",
                    "id": f"{token('utterance id')}-{speaker}-{number}",
                    "text": f"please call {token('transcript')} now and then {number}",
                    "speaker": f"{token('speaker')} {speaker}",
                    "accent": [*ACCENTS, token("slice value")][speaker % 4],
                    "customer": f"{token('column of the manifest')} {number}",
                    "duration": 0.1,
                }
            )
    (folder / "audio").mkdir(parents=True)
    sound = np.random.default_rng(1).normal(0, 0.1, 1600)
    for row in rows:
        path = folder / str(row["audio_filepath"])
        with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as file:
            file.title = file.comment = token("audio metadata")
            file.write(sound)
    settings = "cluster: speaker\nslices: [accent]\n"
    text = f"# {token('YAML comment')}\nname: calls\n{settings}"
    (folder / "dataset.yaml").write_text(text)
    _lines(folder / "manifest.jsonl", rows)


def _answers(workspace: Path, name: str) -> None:
    rows = _read(workspace / "datasets/calls/manifest.jsonl")
    wrong = random.Random(name)  # noqa: S311 - no secret
    _lines(
        workspace / f"{name}.jsonl",
        [
            {
                "id": row["id"],
                "text": row["text"] + f" {token('answer')}" * (wrong.random() < 0.4),
            }
            for row in rows
        ],
    )


def _suite(workspace: Path, name: str, system: str) -> None:
    (workspace / "eval/suites" / f"{name}.yaml").write_text(
        f"# {token('YAML comment')}\nschema: relkit.suite/v1\nname: {name}\n"
        "dataset: {name: calls}\nnormalizer: english\n"
        f"metrics: [wer, wer_capped, failure_rate]\nslices: [accent]\nsystem: {system}\n"
    )


_POLICIES = {
    "first": """\
schema: relkit.gate/v1
name: first
coverage: 0.5
rules:
  - {id: limit, metric: wer_capped, test: bound, max: 0.9}
  - {id: accents, metric: wer_capped, slice: "accent=*", test: bound, max: 0.01, mode: advisory}
""",
    "own": """\
schema: relkit.gate/v1
name: own
coverage: 0.5
rules:
  - {id: limit, metric: wer_capped, test: bound, max: 0.9}
  - {id: no-worse, metric: wer_capped, test: non_inferiority, margin: 0.9}
  - {id: accents, metric: wer_capped, slice: "accent=*", test: bound, max: 0.01, mode: advisory}
""",
    "strict": """\
schema: relkit.gate/v1
name: strict
rules: [{id: limit, metric: wer_capped, test: bound, max: 0.001}]
""",
    "rollout": """\
schema: relkit.canary/v1
name: rollout
control: {arm: control}
canary: {arm: canary}
slices: [accent]
steps: [{share: 50%, min_duration: 1h, detectable: 2, from: 2026-11-01T03:00:00Z}]
triggers:
  - {id: failures, rate: failed}
  - {id: latency, tail: latency_ms, at: [p95]}
""",
    "inputs": """\
schema: relkit.drift/v1
name: inputs
cluster: session
columns: [asr_ms, accent]
""",
    "bill": """\
schema: relkit.cost/v1
name: bill
slices: [accent]
margin: 10%
prices: prices.yaml
""",
    "answered": """\
schema: relkit.slo/v1
name: answered
objective: 99.5%
good: {rate: failed}
slices: [accent]
""",
    "serving": """\
schema: relkit.health/v1
name: serving
retries: {amplification: 1.5}
tenants: {column: tenant, evidence: 1000}
""",
}


def _telemetry(workspace: Path) -> None:
    """Write the turns of a day as Parquet and as JSON lines, by arm and together."""
    folder = workspace / "turns"
    folder.mkdir()
    rows, arms = _turns(3000, hours=12)
    for arm in ("canary", "control"):
        served = rows.filter(pa.array(arms == arm))
        pq.write_table(served, folder / f"{arm}.parquet")
    pq.write_table(served.slice(0, 240), workspace / "few.parquet")
    _lines(folder / "half.jsonl", rows.slice(0, 1500).to_pylist())
    pq.write_table(_turns(9000, hours=144)[0], workspace / "days.parquet")
    (workspace / "triage.json").write_text(json.dumps(encode(REPORT)))


def _turns(count: int, *, hours: int) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """Return turns, and the arm of each."""
    table = turns(count, people=200, hours=hours)
    planted = {"session": "session", "turn_id": "turn id", "user": "user", "tenant": "tenant"}
    for column, place in planted.items():
        arms = table["release_asr"]
        table[column] = [
            f"{token(place)} {value} {arm}" for value, arm in zip(table[column], arms, strict=True)
        ]
    welsh = table["accent"] == "welsh"
    table["accent"] = np.where(welsh, token("slice value"), table["accent"])
    draw = np.random.default_rng(3)
    table |= {
        "arm": np.where(table["release_asr"] == "2.4", "canary", "control"),
        "outcome": np.where(table["ok"], "completed", "failed"),
        "success": table["ok"],
        "model": np.array(["mini"] * count),
        "provider": np.array(["p"] * count),
        "input_tokens": draw.integers(300, 900, count),
        "output_tokens": draw.integers(20, 60, count),
        "retries": draw.integers(0, 2, count),
        "transcript": [f"call {token('text column')}"] * count,
        "note": [token("text column")] * count,
        "error_message": [f"failed: {token('error of a call')}"] * count,
    }
    columns = {name: list(values) for name, values in table.items()}
    return pa.table(columns), np.asarray(table["arm"])


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def planted(hive: Hive) -> set[str]:
    """Return the places whose token is in the workspace's own files."""
    shutil.rmtree(hive.folder / ".git")
    return {hit.token for hit in LeakFiles(SEARCH).scan(hive.folder).hits}


# --- What is run ---


@contextmanager
def surroundings(hive: Hive) -> Iterator[None]:
    """Set variables as in CI, with a key; the working folder is the workspace."""
    variables = {
        "ASR_KEY": f"sk-{token('environment')}",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(hive.out / "summary.md"),
        "USER": token("by"),
        "LOGNAME": token("by"),
    }
    before = {name: os.environ.get(name) for name in variables}
    folder = Path.cwd()
    os.environ.update(variables)
    os.chdir(hive.folder)
    try:
        yield
    finally:
        os.chdir(folder)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


RELEASE = """\
# {comment}
schema: relkit.release/v1
model: asr
version: "{version}"
component: asr
owner: "{owner}"
licence: Apache-2.0
run: {run}
artifact: {{root: {answers}}}
interface: {{sample_rate_hz: 16000, languages: [en]}}
"""
WHO = ("--by", token("by"))
WHY = ("--reason", token("reason"))


def evaluate(hive: Hive) -> None:
    """From two runs over decisions and releases to a rollback, with the reports of it."""
    key = str(hive.folder / "keys" / "relkit.key")
    hive.relkit("doctor --make-key", "doctor", "--make-key", str(hive.folder / "keys"))
    runs: list[str] = []
    for version, name in (("2.3", "older"), ("2.4", "newer")):
        system = ("--system", f"path={name}.jsonl")
        said = hive.relkit("eval --json", "eval", "heard", *system, "--json")
        runs.append(run_id := json.loads(said)["run"])
        decision = str(hive.folder / f"{version}.json")
        compared = ("own", "--baseline", runs[0]) if len(runs) > 1 else ("first",)
        hive.relkit(
            "gate", "gate", *compared, "--candidate", run_id, "--decision", decision,
            "--sign", key, "--junit", str(hive.out / "gate.xml"), "--github",
        )  # fmt: skip
        release = RELEASE.format(
            version=version, run=run_id, answers=f"{name}.jsonl", owner=token("owner"),
            comment=token("YAML comment"),
        )  # fmt: skip
        (hive.folder / "release.yaml").write_text(release)
        hive.relkit("registry register", "registry", "register", "release.yaml", *WHO)
        hive.relkit(
            "registry promote", "registry", "promote", "asr", version, "--decision", decision,
            *WHO, *WHY,
        )  # fmt: skip
    older, newer = runs
    hive.relkit("eval", "eval", "heard")
    hive.relkit("report", "report", newer, "-o", str(hive.out / "report.html"))
    hive.relkit("report --markdown", "report", newer, "-o", str(hive.out / "report.md"))
    hive.relkit("report --junit", "report", newer, "--junit", str(hive.out / "report.xml"))
    hive.relkit("compare", "compare", older, newer)
    hive.relkit("compare --json", "compare", older, newer, "--json")
    hive.relkit("gate --json", "gate", "own", "--candidate", newer, "--baseline", older, "--json")
    hive.relkit("gate --plan", "gate", "own", "--plan", "--dataset", "calls")
    hive.relkit("runs", "runs")
    hive.relkit("rescore", "rescore", newer, "--normalizer", "basic")
    hive.relkit("dataset stats", "dataset", "stats", "calls")
    hive.relkit("dataset candidates", "dataset", "candidates", newer)
    _sign(hive, newer, key)
    for name in ("validate", "verify"):
        hive.relkit(f"registry {name}", "registry", name)
    hive.relkit("registry history", "registry", "history", "asr")
    hive.relkit("bisect", "bisect", "asr", "--metric", "wer")
    hive.relkit("rollback", "rollback", "asr")
    hive.relkit("rollback --apply", "rollback", "asr", "--apply", *WHO, *WHY)
    hive.relkit("registry yank", "registry", "yank", "asr", "2.4", *WHO, *WHY)
    _write_cards(hive)
    hive.relkit("doctor", "doctor")


def _write_cards(hive: Hive) -> None:
    """Write the card of a release that is served, and of one that was withdrawn."""
    text = f"schema: relkit.card/v1\ncontact: speech-team # {token('YAML comment')}\n"
    beside = hive.folder / "registry" / "releases" / "asr" / "2.4" / "card.yaml"
    beside.write_text(text, encoding="utf-8")
    hive.relkit("card", "card", "asr", "--out", str(hive.out / "card.md"))
    hive.relkit("card --json", "card", "asr@2.4", "--strict", "--json")
    for kind in ("html", "eval-results"):
        out = str(hive.out / f"card.{kind}")
        hive.relkit(f"card --format {kind}", "card", "asr@2.4", "--format", kind, "--out", out)


def _sign(hive: Hive, candidate: str, key: str) -> None:
    """Approve, and override a decision that fails, so that both are in what is published."""
    signed = ("--sign", key, *WHO, *WHY)
    hive.relkit("approve", "approve", "red-team", *signed, "--candidate", candidate)
    strict = str(hive.folder / "strict.json")
    gate = ("gate", "strict", "--candidate", candidate, "--decision", strict, "--sign", key)
    hive.relkit("gate that fails", *gate, "--github", "--junit", str(hive.out / "gate.xml"))
    hive.relkit("override", "override", strict, "--ticket", token("ticket"), *signed)
    hive.relkit("gate, overridden", *gate, "--github", "--junit", str(hive.out / "gate.xml"))
    hive.relkit("verify", "verify", strict)


def ask_endpoint(hive: Hive, server: RefusingServer) -> None:
    """Ask a server that refuses, with what it was sent in its answer."""
    for fault in ("401", "500"):
        server.faults[:] = [fault] * 8
        hive.relkit(f"eval, status {fault}", "eval", "hosted", "--limit", "1", "--fresh")


def watch(hive: Hive) -> None:
    """Judge live traffic in every way, and tell others of an incident."""
    canary, control = (str(hive.folder / f"turns/{arm}.parquet") for arm in ("canary", "control"))
    both = ("--telemetry", canary, control)
    hive.relkit("telemetry check", "telemetry", "check", canary, control, "--now", NOW)
    hive.relkit("telemetry check of lines", "telemetry", "check", "turns/half.jsonl", "--now", NOW)
    table = str(hive.folder / "table.parquet")
    hive.relkit("telemetry import", "telemetry", "import", canary, "--to", table, "--now", NOW)
    hive.relkit(
        "drift profile", "drift", "profile", control, "--to", "profile.json", "--policy", "inputs",
        "--now", NOW,
    )  # fmt: skip
    for label, arguments in {
        "canary": ("canary", "rollout", *both),
        "drift": (
            "drift",
            "inputs",
            "--reference",
            "profile.json",
            "--current",
            "few.parquet",
            "--window",
            "12h",
        ),
        "cost": ("cost", "bill", "--baseline", control, "--candidate", canary),
        "slo": ("slo", "answered", *both),
        "health": ("health", "serving", *both),
    }.items():
        for form in ("", " --json"):
            hive.relkit(
                label + form, *arguments, "--now", ENDED, "--junit", str(hive.out / "x.xml"),
                "--github", *form.split(),
            )  # fmt: skip
    days = ("--telemetry", "days.parquet", "--now", "2026-11-07T03:00:00Z")
    hive.relkit("triage", "triage", *days)
    hive.relkit("triage --json", "triage", *days, "--json")
    _tell(hive, both)


def _tell(hive: Hive, telemetry: tuple[str, ...]) -> None:
    """Send a packet, and read it as its receiver and its auditor do."""
    key, public = (str(hive.folder / "keys" / name) for name in ("relkit.key", "relkit.pub"))
    packet = ("incident", "packet", "asr", *telemetry, "--window", WINDOW, "--now", NOW)
    sent = ("--triage", "triage.json", "--sign", key, "--out")
    hive.relkit("incident packet", *packet, *sent, str(hive.out))
    hive.relkit("incident packet again", *packet, *sent, str(hive.folder))
    (file,) = hive.folder.glob("*.packet.json")
    page = str(file).replace(".packet.json", ".html")
    hive.relkit("incident verify", "incident", "verify", str(file), page, "--key", public)
    hive.relkit("incident show", "incident", "show", str(file), "--html", str(hive.out / "p.html"))
    hive.relkit("incident show --markdown", "incident", "show", str(file), "--markdown")
    hive.relkit("incident open", "incident", "open", str(file))


def track(hive: Hive) -> None:
    """Import from an MLflow that is full of tokens, and log a run to it."""
    from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds

    path = hive.folder.parent / "mlflow.db"
    uri = f"sqlite:///{path}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    note = token("MLflow tag")
    source = client.create_run("0", tags={"note": note})
    client.log_param(source.info.run_id, "note", note)
    client.create_registered_model("old", tags={"note": note}, description=note)
    source_uri = f"file://{hive.folder}"
    version = client.create_model_version(
        "old", source_uri, source.info.run_id, tags={"note": note}, description=note
    )
    client.set_registered_model_alias("old", "champion", version.version)
    hive.relkit("registry import", "registry", "import", "mlflow", "--registry-uri", uri, *WHO)
    with (hive.folder / "relkit.yaml").open("a") as file:
        file.write(f"mlflow: {{tracking_uri: '{uri}'}}\n")
    hive.relkit("eval, tracked", "eval", "heard")
    _agent(hive.folder)
    hive.relkit("eval of an agent, tracked", "eval", "agent")
    runs = json.loads(hive.relkit("runs of an agent", "runs", "--json", "--suite", "agent"))["runs"]
    agent = ("--candidate", runs[0]["run"])
    hive.relkit("gate of an agent", "gate", "agent", *agent)
    hive.outputs.append(
        Output(command="eval, tracked", stream="MLflow", data=_logged(client, hive.folder))
    )


def _agent(workspace: Path) -> None:
    """Write a suite of an agent with a token in its cases, calls, events and errors."""
    said, answer = token("transcript"), token("answer")
    rows, answers = [], []
    for i in range(12):
        goal = {"tool": "pay", "arguments": {"to": said}, "says": said}
        case = {"attack": {"channel": "said", "goal": goal}, "planted": [said]}
        row = {"audio_filepath": f"audio/{i}.flac", "duration": 1.0, "text": said, "id": str(i)}
        rows.append(row | {"speaker": f"{token('speaker')} {i}", "case": case})
        arguments = {"to": answer, token("user"): said}
        read = {"t_ms": 1, "kind": "readback", "tool": "pay", "arguments": arguments}
        call = {"name": "pay", "arguments": arguments, "t_ms": 3, "request": token("turn id")}
        call["result"] = {"error": token("error of a call")}
        broken = {"name": token("session"), "arguments": f"{{{said}", "t_ms": 4}
        answers.append(
            {"id": str(i), "text": answer, "events": [read], "tool_calls": [call, broken]}
        )
    folder = workspace / "datasets" / "agent"
    folder.mkdir()
    (folder / "dataset.yaml").write_text("name: agent\ncluster: speaker\n")
    _lines(folder / "manifest.jsonl", rows)
    _lines(workspace / "agent.jsonl", answers)
    suites = workspace / "eval" / "suites"
    (suites / "agent-tools.yaml").write_text(
        "schema: relkit.tools/v1\ntools:\n  pay: {sensitive: true, effect: once}\n"
    )
    (suites / "agent.yaml").write_text(
        "schema: relkit.suite/v1\nname: agent\ntask: agent\ntools: agent-tools.yaml\n"
        "dataset: {name: agent}\nsystem: {kind: recorded, path: agent.jsonl}\n"
        "metrics: [injection_success_rate, pii_readback_rate, unconfirmed_rate, "
        "tool_schema_violation_rate]\n"
    )
    (workspace / "gates" / "agent.yaml").write_text(
        "schema: relkit.gate/v1\nname: agent\nrules:\n"
        "  - {id: limit, metric: injection_success_rate, test: bound, max: 0.3}\n"
    )


def _logged(client: Any, folder: Path) -> bytes:  # noqa: ANN401 - MLflow's, imported late
    """Return everything that MLflow was told of the runs in relkit's experiment."""
    experiments = [item for item in client.search_experiments() if item.name != "Default"]
    runs = client.search_runs([item.experiment_id for item in experiments])
    assert runs, "the run was not tracked"
    parts = [str(run.to_dictionary()).replace(str(folder.parent), "") for run in runs]
    return "\n".join(parts).encode()


class Crash(RuntimeError):
    """A defect that quotes what it was given."""


_BROKEN: Mapping[str, tuple[str, ...]] = {
    "relkit.adapters.results.ParquetResults.write_results": ("eval", "heard", "--fresh"),
    "relkit.adapters.runs.RunFolders.read_report": ("runs", "--suite", "heard"),
    "relkit.adapters.ledgers.LedgerFiles.read": ("rollback", "asr"),
    "relkit.adapters.duckdb.turns.TurnTable.fetch": ("slo", "answered", "--telemetry", "turns"),
}
"""What breaks, and the command that it breaks."""


def crash(hive: Hive) -> None:
    """Let commands break on the data that they hold, with --debug; the fault quotes all of it."""

    def fault(*arguments: object, **options: object) -> None:
        everything = {"arguments": arguments, "options": options, "all": [*map(token, PLACES)]}
        try:
            everything["unknown"]
        except KeyError as error:
            raise Crash(f"cannot take {everything} in {hive.folder}") from error

    for target, arguments in _BROKEN.items():
        with patch(target, fault):
            hive.relkit(f"crash of {arguments[0]} --debug", *arguments, "--debug")


def explore(hive: Hive) -> None:
    """Publish as in a private repository, with the error explorer, which is asked for texts."""
    path = hive.folder / "relkit.yaml"
    path.write_text(path.read_text().replace("ci: shared", "ci: internal"))
    runs = json.loads(hive.relkit("runs --json", "runs", "--json"))["runs"]
    newest = next(item["run"] for item in runs if item["suite"] == "heard")
    page = str(hive.out / "report.html")
    hive.relkit("internal: report", "report", newest, "-o", page)
    hive.relkit("internal: report --with-text", "report", newest, "--with-text", "-o", page)
    hive.relkit(
        "internal: gate", "gate", "first", "--candidate", newest, "--github",
        "--junit", str(hive.out / "gate.xml"),
    )  # fmt: skip


def check(hive: Hive) -> None:
    """Check the data against a contract that they break: all clips sound the same."""
    hive.relkit("dataset check --write-default", "dataset", "check", "calls", "--write-default")
    hive.relkit("dataset check", "dataset", "check", "calls")


def run_all(folder: Path) -> Hive:
    """Plant, run everything, and return what is left of it."""
    with RefusingServer() as server:
        hive = plant(folder, server.base_url)
        with surroundings(hive):
            evaluate(hive)
            ask_endpoint(hive, server)
            watch(hive)
            crash(hive)
            track(hive)
            explore(hive)
            check(hive)
        assert any(token("environment") in str(item.authorization) for item in server.received)
    return hive
