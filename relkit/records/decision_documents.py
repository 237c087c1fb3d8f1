"""The document that ``relkit gate --json`` prints (cli.md, What ``--json`` prints)."""

import math
from collections.abc import Sequence

from relkit.domain.decisions import Override
from relkit.domain.errors import InvalidInput
from relkit.domain.gates import (
    CheckRecord,
    GateDecision,
    JudgedPart,
    JudgedRun,
    NullReplay,
    RuleResult,
    Verdict,
)
from relkit.records.digests import JsonValue

_ORDER = (
    "rule",
    "slice",
    "metric",
    "test",
    "mode",
    "verdict",
    "observed",
    "low",
    "high",
    "baseline",
    "bound",
    "p_adjusted",
    "n",
    "clusters",
    "needed_clusters",
    "reason",
    "code",
    "quantity",
    "unit",
    "candidate",
    "detects",
    "utterances",
    "against",
    "part",
    "harm",
)
"""The keys of a check: those of cli.md first, then the other fields of a result."""


def decision_document(
    decision: GateDecision,
    *,
    decision_file: str | None = None,
    overrides: Sequence[Override] = (),
) -> dict[str, JsonValue]:
    """Return the document of a decision; raises InvalidInput for a pass that rests on NaN.

    ``decision_file`` is relative to the workspace or as the user named it, None where none was
    written. All rates are fractions. A number that is NaN or infinite is null.
    """
    return {
        "verdict": decision.verdict.value,
        "enforcement": decision.enforcement,
        "promotes": decision.promotes,
        "reason_codes": list(decision.reason_codes),
        "decision_file": decision_file,
        "policy": {"name": decision.policy, "digest": decision.policy_digest},
        "checks": [_check(item) for item in decision.results],
        "coverage": {
            "expected": sum(part.coverage.expected for part in decision.parts),
            "scored": sum(part.coverage.scored for part in decision.parts),
            "unusable": sum(part.coverage.unusable for part in decision.parts),
        },
        "parts": [_part(item) for item in decision.parts],
        "requires": [_required(item) for item in decision.checks],
        "overrides": [_override(item) for item in overrides],
        "created": decision.created,
        "expires": decision.expires,
        "serial": decision.serial,
        "previous": decision.previous,
        "tool_version": decision.tool_version,
    }


def _check(result: RuleResult) -> dict[str, JsonValue]:
    values = {key: getattr(result, key) for key in _ORDER}
    broken = [key for key, value in values.items() if _says_nothing(value)]
    if broken and result.verdict is Verdict.PASS:
        raise InvalidInput(
            f"the check {result.rule} passes on {result.slice}, yet its {broken[0]} is no number",
            hint="this is a defect: keep the runs and report it",
        )
    return {key: None if key in broken else _plain(value) for key, value in values.items()}


def _says_nothing(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(value: str | float | Verdict | None) -> JsonValue:
    return value.value if isinstance(value, Verdict) else value


def _part(part: JudgedPart) -> dict[str, JsonValue]:
    return {
        "name": part.name,
        "policy": {"name": part.policy, "digest": part.policy_digest},
        "candidate": _run(part.candidate),
        "baseline": _run(part.baseline),
        "anchor": _run(part.anchor),
        "dataset": {
            "name": part.dataset,
            "revision": part.dataset_revision,
            "digest": part.dataset_digest,
        },
        "suite": {"name": part.suite, "digest": part.suite_digest},
        "normalizer": {"name": part.normalizer, "digest": part.normalizer_digest},
        "scorer": part.scorer,
        "coverage": {
            "expected": part.coverage.expected,
            "scored": part.coverage.scored,
            "unusable": part.coverage.unusable,
        },
        "baseline_failures": list(part.baseline_failures),
        "null_replay": _replay(part.null_replay),
    }


def _run(run: JudgedRun | None) -> dict[str, JsonValue] | None:
    if run is None:
        return None
    return {
        "run": run.run,
        "report": run.report,
        "candidate": run.candidate,
        "artifact": run.artifact,
        "created": run.created,
    }


def _replay(replay: NullReplay | None) -> dict[str, JsonValue] | None:
    if replay is None:
        return None
    return {
        "replays": replay.replays,
        "blocked": replay.blocked,
        "undecided": replay.undecided,
        "false_block_rate": replay.false_block_rate,
        "method": replay.method,
    }


def _required(check: CheckRecord) -> dict[str, JsonValue]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "reason": check.reason,
        "by": check.by,
        "created": check.created,
        "expires": check.expires,
        "digest": check.digest,
        "candidate": check.candidate,
        "key": check.key,
        "ticket": check.ticket,
    }


def _override(override: Override) -> dict[str, JsonValue]:
    return {
        "decision": override.decision,
        "by": override.by,
        "reason": override.reason,
        "ticket": override.ticket,
        "created": override.created,
        "expires": override.expires,
        "signed": override.key is not None,
        "key": override.key,
    }
