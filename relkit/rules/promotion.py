"""May this release be promoted by this decision? Every reason against it, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relkit.domain.decisions import Override
from relkit.domain.gates import GateDecision, Verdict
from relkit.domain.releases import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFacts:
    """What is known of a decision's file besides what it says.

    ``problems`` are those of its verification (form, signature, time, recomputed verdict);
    ``signed`` whether a trusted key has signed it. ``policy`` is the policy's digest now, None
    where it is gone; ``signature`` whether the policy asks for one. ``newer`` says which later
    decision about the same runs there is.
    """

    decision: GateDecision
    digest: str
    problems: tuple[str, ...] = ()
    signed: bool = False
    policy: str | None = None
    signature: bool = False
    newer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideFacts:
    """An override that was handed in, its digest, and what is wrong with it."""

    override: Override
    digest: str
    problems: tuple[str, ...] = ()


def why_not(
    release: Release,
    pinned: Sequence[Release],
    facts: DecisionFacts,
    override: OverrideFacts | None = None,
) -> tuple[str, ...]:
    """Return every reason why a decision does not let a release be promoted; none where it does.

    ``pinned`` are the releases of a stack. An override stands for the verdict and for nothing else:
    artifact, dataset, policy, time and signature have to be right, too.
    """
    return tuple(
        dict.fromkeys(
            (
                *facts.problems,
                *_verdict(facts, override),
                *_policy(facts),
                *_subject(release, pinned, facts.decision),
                *_dataset(release, pinned, facts.decision),
            )
        )
    )


def _verdict(facts: DecisionFacts, override: OverrideFacts | None) -> Iterator[str]:
    decision = facts.decision
    if decision.enforcement != "enforce":
        yield "the policy's enforcement is shadow: such a decision never promotes"
    if not decision.parts:
        yield "no candidate was judged"
    if facts.newer is not None:
        yield f"there is a newer decision about this run: {facts.newer}"
    if override is not None:
        yield from (f"the override: {problem}" for problem in override.problems)
        if decision.verdict is Verdict.PASS:
            yield "the decision passes: there is nothing to override"
        if override.override.decision != facts.digest:
            yield "the override is about another decision"
        if override.override.key is None:
            yield "the override is not signed by a trusted key"
    elif decision.verdict is not Verdict.PASS:
        codes = ", ".join(decision.reason_codes[:5])
        yield f"the verdict is {decision.verdict}" + (f" ({codes})" if codes else "")


def _policy(facts: DecisionFacts) -> Iterator[str]:
    name = facts.decision.policy
    if facts.policy is None:
        yield f"the policy {name} is not in this workspace"
    elif facts.policy != facts.decision.policy_digest:
        yield f"the policy {name} no longer matches its digest: it was changed since"
    if facts.signature and not facts.signed:
        yield f"the policy {name} requires a signature, and no trusted key has signed it"


def _subject(release: Release, pinned: Sequence[Release], decision: GateDecision) -> Iterator[str]:
    wanted = {_identity(one): one for one in (pinned if release.kind == "stack" else (release,))}
    judged = {part.candidate.artifact or part.candidate.candidate for part in decision.parts}
    for digest, one in wanted.items():
        if digest not in judged:
            yield f"it is not about the artifact of {one.model} {one.version} ({digest})"
    for digest in sorted(judged - set(wanted)):
        yield f"it is about another artifact ({digest})"


def _identity(release: Release) -> str:
    """Return what a decision about a release has to name; a vendor's model has its settings."""
    if release.hosted is not None:
        return release.hosted.configuration
    return release.artifact_digest or release.digest


def _dataset(release: Release, pinned: Sequence[Release], decision: GateDecision) -> Iterator[str]:
    evaluated = _evaluated((release, *pinned))
    for part in decision.parts:
        if part.dataset_digest not in evaluated:
            known = ", ".join(sorted(evaluated.values())) or "none"
            yield (
                f"it was decided on the dataset {part.dataset} ({part.dataset_digest}), which is "
                f"not one the release names (lineage: {known})"
            )


def _evaluated(releases: Sequence[Release]) -> Mapping[str, str]:
    return {
        one.digest: one.dataset
        for release in releases
        for one in release.lineage
        if one.use == "evaluation"
    }
