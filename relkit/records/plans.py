"""The plan of a gate as the JSON document that ``relkit gate --plan --json`` prints."""

from dataclasses import asdict

from relkit.domain.plans import Finding, GatePlan, RulePlan
from relkit.records.digests import JsonValue

SCHEMA = "relkit.gate-plan/v1"


def plan_document(plan: GatePlan) -> dict[str, JsonValue]:
    """Return the document; rates, margins and chances as fractions, None where there is none."""
    return {
        "schema": SCHEMA,
        "policy": plan.policy,
        "policy_digest": plan.policy_digest,
        "dataset": plan.dataset,
        "revision": plan.revision,
        "suite": plan.suite,
        "cluster": plan.cluster,
        "utterances": plan.utterances,
        "clusters": plan.clusters,
        "words": plan.words,
        "baseline": plan.baseline,
        "candidate": plan.candidate,
        "rules": [_rule(rule) for rule in plan.rules],
        "assumptions": list(plan.assumptions),
        "findings": [finding_document(finding) for finding in plan.findings],
    }


def _rule(rule: RulePlan) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = asdict(rule)
    document["outlook"] = rule.outlook
    return document


def finding_document(finding: Finding) -> dict[str, JsonValue]:
    """Return a finding about a policy as a JSON document."""
    document: dict[str, JsonValue] = asdict(finding)
    return document
