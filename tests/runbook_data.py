"""The story that runbooks are written of, and the commands that stand in a document.

A voice assistant as ``relkit simulate incident accent`` makes it: asr 2.4 was worse for one accent
and is live; a stack pins it; asr 2.5 has begun its canary; policies watch what is served.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from relkit.attestation.checks import DecisionEntry
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.core.digests import PREFIX
from relkit.core.values import after
from relkit.disclosure.types import (
    FormAnswers,
    HourSpan,
    ServedVersion,
    ShownFinding,
    TimelineEvent,
)
from relkit.gate.types import CheckRecord, GateDecision, Verdict, WrittenCheck
from relkit.incident.simulation.kinds import incident
from relkit.registry.ledger import Entry, plan_canary, plan_promoted, plan_registered, state_of
from relkit.registry.release_files import sealed
from relkit.registry.types import Artifact, Interface, Lineage, Release
from relkit.wiring.incident import incident_state
from relkit.wiring.registry import registry_ports
from relkit.wiring.simulation import simulate_incident
from relkit.wiring.stores import check_files, decision_files, open_workspace
from tests.conftest import ROOT
from tests.decisions import DATASET, statement
from tests.decisions import NOW as DECIDED
from tests.packet_data import packet

NOW = "2026-01-14T12:00:00Z"
"""When the story is told: the clock of the commands that are run in it."""

ROLLOUT = """\
schema: relkit.canary/v1
name: asr-rollout
model: asr
mapping: {release: release_asr}
slices: [accent]
steps:
  - {share: 1%, min_duration: 1h, detectable: 5}
  - {share: 5%, min_duration: 2h, detectable: 3}
  - {share: 25%, min_duration: 4h, detectable: 2}
triggers:
  - {id: failures, rate: failed}
  - {id: asked-again, rate: reprompt}
  - {id: latency, tail: latency_ms, at: [p95]}
limits:
  - {id: hard-failures, rate: failed, max: 20%, min_units: 50}
"""

POLICIES = ("cost", "inputs", "serving", "sizing", "turns-answered", "launch", "tts-promotion")
"""Shipped ones, with the columns that the story's turns have."""

ABUSE = """\
schema: relkit.abuse/v1
name: abuse
classes: {trial: [t01, t02]}
measures: [turns]
"""

PROMOTION = """\
schema: relkit.gate/v1
name: asr-promotion
rules:
  - {id: wer-limit, metric: wer_capped, test: bound, max: 0.60}
  - {id: runaways, metric: runaway_rate, test: bound, max: 0.30}
"""


LAUNCH = """\
schema: relkit.gate/v1
name: launch-readiness
requires:
  - {name: card, about: candidate, max_age: 7d}
  - {name: asr-rollout, about: candidate, max_age: 24h}
  - {name: sizing, about: candidate, max_age: 7d}
  - {name: release-approval, about: candidate, max_age: 24h}
rules:
  - {id: wer-limit, metric: wer_capped, test: bound, max: 0.60}
"""

DEGRADATION = """\
schema: relkit.degradation/v1
steps:
  - {at: the queue is full for 5 minutes, switch_off: batch transcription, keeps: every live call}
  - at: the queue is full for 10 minutes
    switch_off: the long answers
    command: relkit health serving --telemetry "$TURNS"
timeouts_ms: {asr_ms: 800, llm_ttft_ms: 1500, latency_ms: 4000}
fallbacks: {llm: the answer that a person calls back, tts: recorded prompts}
"""


def write_story(folder: Path) -> Path:
    """Write the workspace of the story into a new folder and return it."""
    simulate_incident(folder, incident("accent", turns_per_hour=100), lambda _done, _of: None)
    gates = folder / "gates"
    gates.mkdir()
    for name in POLICIES:
        text = (ROOT / "gates" / f"{name}.yaml").read_text(encoding="utf-8")
        text = text.replace("slices: [language]", "slices: [lang]").replace(
            "2026-01-05", "2026-01-07"
        )
        text = text.replace("cluster: speaker", "cluster: unit")
        text = re.sub(
            r"^columns: .*$", "columns: [lang, device, noise, accent]", text, flags=re.MULTILINE
        )
        (gates / f"{name}.yaml").write_text(text, encoding="utf-8")
    (gates / "asr-rollout.yaml").write_text(ROLLOUT, encoding="utf-8")
    (gates / "abuse.yaml").write_text(ABUSE, encoding="utf-8")
    (gates / "asr-promotion.yaml").write_text(PROMOTION, encoding="utf-8")
    live = {"llm": "3.2", "retrieval": "5.2", "tts": "1.8"}
    for version, asr, at in (
        ("6", "2.3", "2026-01-14T07:40:00Z"),
        ("7", "2.4", "2026-01-14T08:00:00Z"),
    ):
        pins = {"asr": asr, **live}
        add_release(folder, "assistant", version, at, component="stack", kind="stack", pins=pins)
        serve_release(folder, "assistant", version, at, None)
    add_release(folder, "asr", "2.5", "2026-01-14T09:00:00Z", requires={"llm": ">=3"})
    serve_release(folder, "asr", "2.5", "2026-01-14T10:00:00Z", 0.01)
    _review(folder)
    return folder


def _review(folder: Path) -> None:
    """Decide the launch of asr 2.5, send a packet of asr 2.4, say what is switched off."""
    (folder / "gates" / "launch-readiness.yaml").write_text(LAUNCH, encoding="utf-8")
    (folder / "runbooks").mkdir(exist_ok=True)
    (folder / "runbooks" / "degradation.yaml").write_text(DEGRADATION, encoding="utf-8")
    workspace, at = open_workspace(folder), "2026-01-14T09:30:00Z"
    artifact = registry_ports(workspace).releases.read("asr", "2.5").artifact_digest
    assert artifact is not None
    records = [
        CheckRecord(
            name=name,
            verdict=verdict,
            reason=reason,
            by=by,
            created=DECIDED,
            digest=f"{PREFIX}{'5' * 64}",
            candidate=artifact,
        )
        for name, verdict, reason, by in (
            ("card", Verdict.PASS, "nothing is left open", "relkit card"),
            ("asr-rollout", Verdict.INCONCLUSIVE, "too few turns so far", "relkit canary"),
            ("release-approval", Verdict.PASS, "pass by key 3f2a", "key 3f2a"),
        )
    ]
    decision = _gated(artifact, at, text=LAUNCH, checks=records)
    entry = DecisionEntry(
        policy=decision.policy.name,
        run=decision.parts[0].candidate.run,
        verdict=decision.verdict,
        created=at,
    )
    decision_files(workspace).append(
        entry,
        lambda serial, previous: Envelope(
            payload=render_statement(replace(decision, serial=serial, previous=previous))
        ),
    )
    for record in records[:2]:
        check_files(workspace).write(
            WrittenCheck(
                name=record.name,
                verdict=record.verdict,
                reason=record.reason,
                by=record.by,
                created=at,
                candidate=artifact,
            )
        )
    out = packet(
        incident="incident-20260114T04Z",
        window=HourSpan(from_="2026-01-14T04:00:00Z", to="2026-01-14T09:00:00Z"),
        created="2026-01-14T09:45:00Z",
        cause=replace(
            packet().cause,
            first_bad="2.4",
            onset=HourSpan(from_="2026-01-14T04:00:00Z", to="2026-01-14T05:00:00Z"),
        ),
        served=(
            ServedVersion(
                component="asr", version="2.4", from_="2026-01-14T04:55:00Z", to=None, share=1.0
            ),
        ),
        cost=(),
        drift=(),
        burn=(ShownFinding(policy="turns-answered", verdict="page", at="2026-01-14T06:20:00Z"),),
        timeline=(
            TimelineEvent(
                at="2026-01-14T04:55:00Z", kind="promoted", component="asr", version="2.4"
            ),
            TimelineEvent(at="2026-01-14T05:00:00Z", kind="onset"),
            TimelineEvent(at="2026-01-14T06:20:00Z", kind="alert"),
            TimelineEvent(at="2026-01-14T06:31:00Z", kind="aware"),
        ),
        form=FormAnswers(aware="2026-01-14T06:31:00Z", onset="2026-01-14T05:00:00Z"),
        mitigations=("none_yet",),
        status="open",
        rollback=None,
    )
    data = render_envelope(Envelope(payload=render_statement(out)))
    incident_state(workspace).keep_issued(out.incident, out.incident, data, b"")


def add_release(folder: Path, model: str, version: str, at: str, **fields: Any) -> None:  # noqa: ANN401 - any field
    """Write a record with its artifact and its decision, and register it."""
    ports = registry_ports(open_workspace(folder))
    given: dict[str, Any] = {"component": "asr", "kind": "files", "owner": "speech team", **fields}
    subject = f"{PREFIX}{'7' * 64}"
    if given["kind"] == "files":
        path = folder / "artifacts" / model / version / "model.bin"
        path.parent.mkdir(parents=True)
        path.write_text(f"weights of {model} {version}\n", encoding="utf-8")
        root, files, subject = ports.artifacts.listing(f"artifacts/{model}/{version}")
        given["artifact"] = Artifact(digest=subject, root=root, files=files)
    decision = Envelope(payload=render_statement(_gated(subject, at)))
    release = sealed(
        Release(
            model=model,
            version=version,
            created=at,
            licence="CC0-1.0",
            lineage=(Lineage(dataset="words", digest=DATASET),),
            decision=decision.digest,
            attested="gate",
            interface=Interface(api_version="1"),
            digest="",
            **given,
        )
    )
    ports.releases.write(release)
    name = f"decision-{decision.digest.removeprefix(PREFIX)[:16]}.json"
    ports.releases.keep(model, version, name, render_envelope(decision))
    event = plan_registered(_state(folder, model), release, Entry(at=at, by="ci", reason=""))
    assert event is not None
    ports.ledger.append(event, expected=event.sequence - 1)


def _gated(
    artifact: str, at: str, *, text: str = PROMOTION, checks: Sequence[CheckRecord] = ()
) -> GateDecision:
    """Return a decision by the real rules that lets an artifact be served, as of a time."""
    decision = statement(text=text, artifact=artifact, checks=checks)
    judged = decision.parts[0]
    return replace(
        decision,
        created=at,
        expires=after(at, 86_400),
        checks=tuple(replace(check, created=at) for check in decision.checks),
        parts=(replace(judged, candidate=replace(judged.candidate, created=at)),),
    )


def serve_release(folder: Path, model: str, version: str, at: str, share: float | None) -> None:
    """Give a release all traffic, or a share of it."""
    ports = registry_ports(open_workspace(folder))
    state, entry = _state(folder, model), Entry(at=at, by="ci", reason="")
    decision = ports.releases.read(model, version).decision
    if share is None:
        event = plan_promoted(state, version, entry, decision=decision)
    else:
        event = plan_canary(state, version, share, entry, decision=decision)
    ports.ledger.append(event, expected=event.sequence - 1)


def _state(folder: Path, model: str) -> Any:  # noqa: ANN401 - the state of a ledger
    return state_of(model, registry_ports(open_workspace(folder)).ledger.events(model))


_FENCE = re.compile(r"^(`{3,})sh\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`(relkit [^`\n]+)`(?!`)")


def commands_of(markdown: str) -> list[str]:
    """Return every command of a document, in blocks of ``sh`` and in code spans, in its order.

    Lines that set a variable are for the reader, and left out.
    """
    places = [(match.start(), match[2].splitlines()) for match in _FENCE.finditer(markdown)]
    places += [(match.start(), [match[1]]) for match in _SPAN.finditer(_FENCE.sub("", markdown))]
    lines = [line.strip() for _, block in sorted(places) for line in block]
    return [line for line in lines if line and not line.startswith("export ")]
