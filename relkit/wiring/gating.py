"""Builds what a gate judges with, and keeps what it decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Settings
from relkit.core.errors import UsageError
from relkit.gate.types import WHOLE, GateDecision, GatePolicy, GateRequest
from relkit.wiring import run_folders
from relkit.wiring.policies import read_policy

if TYPE_CHECKING:
    from relkit.attestation.types import DecisionStatement
    from relkit.gate.run import Judged
    from relkit.gate.types import Override


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is safe on disk: at ``path``, ``shown`` without a folder of the machine.

    ``overrides`` are those about its candidates.
    """

    decision: GateDecision
    path: Path
    shown: str
    overrides: "tuple[Override, ...]" = ()


def gate(
    settings: Settings,
    policy: str,
    *,
    candidates: Sequence[str],
    baselines: Sequence[str] = (),
    anchors: Sequence[str] = (),
    checks: Sequence[str] = (),
    sign: Path | None = None,
    decision: Path | None = None,
) -> Decided:
    """Judge runs by a policy and write the decision; see :func:`relkit.gate.run.gate`.

    Runs are given as ``RUN``, or ``PART=RUN`` for a policy with parts; checks as ``NAME=FILE``. A
    decision file is on disk before this returns. Raises InvalidInput, UsageError, StorageFailed.
    """
    from relkit.adapters.duckdb.results import DuckDBPairs, DuckDBSlices
    from relkit.adapters.workspace import SystemClock
    from relkit.gate.collect import GatePorts
    from relkit.gate.run import gate as judge
    from relkit.wiring.signing import read_checks

    found, parts = read_policy(settings, policy)
    request = GateRequest(
        candidates=_by_part(candidates, parts, "--candidate"),
        baselines=_by_part(baselines, parts, "--baseline"),
        anchors=_by_part(anchors, parts, "--anchor"),
    )
    if not request.candidates:
        raise UsageError("--candidate is missing", hint="name the run to judge: --candidate RUN")
    given = _named_files(checks)
    now = SystemClock().now()
    ports = GatePorts(
        runs=run_folders(settings),
        aggregators=DuckDBSlices,
        pairs=DuckDBPairs,
        records=lambda wanted: read_checks(settings, [need.name for need in wanted], given),
        now=now,
    )
    judged = judge(found, parts, request, ports)
    return _keep(settings, found, judged, now=now, sign=sign, path=decision)


def _by_part(given: Sequence[str], parts: Mapping[str, GatePolicy], option: str) -> dict[str, str]:
    """Return runs by part; raises UsageError where one is named twice or names no part."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, run = text.partition("=")
        if not parts:
            name, run = WHOLE, text
        elif not sign or not run:
            hint = f"for example {option} {next(iter(parts))}=RUN"
            raise UsageError(f"{option} needs PART=RUN: the policy has parts", hint=hint)
        if name in found:
            raise UsageError(f"{option} names {name or 'a run'} twice", hint="name one run")
        found[name] = run
    return found


def _named_files(given: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or not name or not path or name in found:
            hint = "for example --check load-test=load-test.json"
            raise UsageError("--check takes NAME=FILE, each name once", hint=hint)
        found[name] = Path(path)
    return found


def _keep(
    settings: Settings,
    policy: GatePolicy,
    judged: "Judged",
    *,
    now: str,
    sign: Path | None,
    path: Path | None,
) -> Decided:
    """Write the decision with its evidence, signed where a key is given, under the next serial."""
    from relkit.adapters.workspace import versions
    from relkit.core.values import after
    from relkit.wiring.signing import overrides_of, write_decision

    whole = replace(
        judged.decision,
        created=now,
        expires=after(now, policy.valid_for_s),
        tool_version=versions()["relkit"],
    )
    overrides = overrides_of(settings, whole)
    statement = _statement(policy, replace(judged, decision=whole), overrides)
    written = write_decision(settings, statement, path=path, key=sign)
    there = written.path.absolute()
    inside = there.is_relative_to(settings.workspace)
    shown = there.relative_to(settings.workspace) if inside else Path(there.name)
    return Decided(
        decision=written.decision,
        path=written.path,
        shown=shown.as_posix(),
        overrides=overrides,
    )


def _statement(
    policy: GatePolicy, judged: "Judged", overrides: "tuple[Override, ...]"
) -> "DecisionStatement":
    """Return the decision with what others need to recompute it."""
    from relkit.attestation.sums import decision_evidence
    from relkit.attestation.types import Against, DecisionStatement
    from relkit.gate.evidence import Compared

    evidence = []
    for name, found in judged.evidence.items():
        sides: tuple[tuple[Against, Compared | None], ...] = (
            ("baseline", found.baseline),
            ("anchor", found.anchor),
        )
        compared = {side: other for side, other in sides if other is not None}
        evidence.append(
            decision_evidence(
                judged.policies[name].rules,
                part=name or None,
                rates=found.rates,
                timings=found.timings,
                utterances=found.utterances,
                compared=compared,
            )
        )
    read = (policy, *judged.policies.values())
    return DecisionStatement(
        decision=judged.decision,
        evidence=tuple(evidence),
        policies={one.name: one.document for one in read},
        overrides=overrides,
    )
