"""The facts of a model card: from release, report, decision and ledger, and fit to be public.

Nothing is measured here. Numbers are those of the report, on their grids; a number of too few
people is not one of the card; what no record has is named as not measured.
"""

from collections.abc import Iterator
from dataclasses import replace

from relkit.core.slices import OVERALL
from relkit.core.values import to_minute
from relkit.core.wording import count
from relkit.disclosure.names import checked_name
from relkit.disclosure.types import PacketRollback, RefusedTarget, ShownFinding
from relkit.documents.card_evaluation import CardRecords, evaluation_of, plain_words
from relkit.documents.types import (
    CardDecision,
    CardEvaluation,
    CardEvent,
    CardRelease,
    CardText,
    ModelCard,
    WorseSlice,
)
from relkit.gate.types import Verdict
from relkit.monitoring.types import LiveFinding
from relkit.registry.types import Attested, EventKind, Lineage, Release
from relkit.report.shared_numbers import (
    Scope,
    scope_of_run,
    shared_name,
)
from relkit.report.types import NOT_SHARED
from relkit.rollback.types import RollbackTarget

NOT_HERE = (
    "The results of the run are not here: only numbers that the decision itself rests on are shown."
)
NO_GROUPS = "gaps between groups"


def card_of(records: CardRecords) -> ModelCard:
    """Return the card of a release: the same records give the same card.

    Raises InvalidInput where the names of model and version are none that may be shared.
    """
    release = records.release
    evaluation = None if records.report is None else evaluation_of(records, records.report)
    card = ModelCard(
        release=_release(records),
        text=_with_languages(records.text, release),
        evaluation=evaluation,
        decision=_decision(records),
        signature=records.signature,
        cost=release.serving_cost
        and replace(release.serving_cost, per=plain_words(release.serving_cost.per)),
        lineage=tuple(map(_shared_lineage, release.lineage)),
        rollback=_rollback(records.rollback),
        worse=tuple(_worse(records)),
        remarks=tuple(_remarks(records, evaluation)),
        findings=tuple(_findings(records)),
        not_measured=(),
        not_stated=(),
    )
    return replace(
        card, not_measured=tuple(_not_measured(card)), not_stated=tuple(_not_stated(card))
    )


def identity_digest(release: Release) -> str | None:
    """Return what a decision about a release is about: its artifact, or its configuration."""
    if release.artifact_digest is not None or release.hosted is None:
        return release.artifact_digest
    return release.hosted.configuration


def _release(records: CardRecords) -> CardRelease:
    release, state = records.release, records.state
    interface = release.interface
    return CardRelease(
        model=checked_name(release.model, what="the model"),
        version=checked_name(release.version, what="the release"),
        component=release.component,
        kind=release.kind,
        created=to_minute(release.created),
        licence=release.licence and plain_words(release.licence),
        attested=_attested(records),
        digest=identity_digest(release),
        vendor=None
        if release.hosted is None
        else plain_words(f"{release.hosted.provider} {release.hosted.model}"),
        interface=replace(
            interface,
            label_schema=interface.label_schema and plain_words(interface.label_schema),
            feature_schema=interface.feature_schema and plain_words(interface.feature_schema),
            api_version=interface.api_version and plain_words(interface.api_version),
            tokenizer=interface.tokenizer and plain_words(interface.tokenizer),
        ),
        requires={shared_name(model): text for model, text in release.requires.items()},
        pins={shared_name(model): shared_name(text) for model, text in release.pins.items()},
        runtime=release.runtime and plain_words(release.runtime),
        served=tuple(
            CardEvent(
                at=to_minute(event.at),
                kind=event.kind,
                traffic=0.0 if release.version in event.bad else event.traffic,
            )
            for event in records.events
            if release.version == event.version or release.version in event.bad
        ),
        live=state is not None and state.live == release.version,
        yanked=None
        if state is None or release.version not in state.yanked
        else to_minute(state.yanked[release.version]),
    )


def _attested(records: CardRecords) -> Attested:
    """Return what stands behind a release: the last word of its ledger, else of its record."""
    said = [event.attested for event in records.events if event.version == records.release.version]
    return "gate" if "gate" in said else records.release.attested


def _with_languages(text: CardText, release: Release) -> CardText:
    """Return the stated text; languages that the release record has need not be said again."""
    return text if text.languages else replace(text, languages=release.interface.languages)


def _shared_lineage(lineage: Lineage) -> Lineage:
    return replace(
        lineage,
        dataset=shared_name(lineage.dataset),
        revision=lineage.revision and shared_name(lineage.revision),
    )


def _decision(records: CardRecords) -> CardDecision | None:
    decision, shown = records.decision, records.shown
    if decision is None or shown is None:
        return None
    return CardDecision(
        policy=shared_name(decision.policy.name),
        policy_digest=decision.policy.digest,
        enforcement=decision.policy.enforcement,
        verdict=decision.verdict,
        created=to_minute(decision.created),
        expires=to_minute(decision.expires),
        shown=shown,
        overrides=records.overrides,
        digest=records.decision_digest if shown.k == 1 else None,
    )


def _rollback(target: RollbackTarget | None) -> PacketRollback | None:
    if target is None:
        return None
    return PacketRollback(
        target=target.target and shared_name(target.target),
        verified=target.target is not None and target.attested == "gate",
        refused=tuple(
            RefusedTarget(version=shared_name(refused.version), code=refused.code)
            for refused in target.refused
        ),
    )


def _findings(records: CardRecords) -> Iterator[ShownFinding]:
    """Yield what the newest look of each policy at the canary of this release came to."""
    newest: dict[str, LiveFinding] = {}
    for finding in sorted(records.findings, key=lambda finding: finding.created):
        subject = finding.report.get("subject")
        about = subject if isinstance(subject, dict) else {}
        named = (about.get("model"), about.get("canary"))
        if finding.enforcement == "enforce" and named == (
            records.release.model,
            records.release.version,
        ):
            newest[finding.policy.name] = finding
    for name, finding in newest.items():
        at = to_minute(finding.created)
        yield ShownFinding(policy=shared_name(name), verdict=finding.verdict, at=at)


def _worse(records: CardRecords) -> Iterator[WorseSlice]:
    """Yield the slices that records call worse, by the names that may be shared, each once."""
    names = _scope_of_names(records)
    version, seen = records.release.version, set()
    stated = [("release", key) for key in records.release.worse_slices]
    removed = [
        ("ledger", event.slice)
        for event in records.events
        if event.kind is EventKind.ROLLED_BACK and version in event.bad and event.slice
    ]
    failed = [
        ("decision", row.slice)
        for row in (() if records.shown is None else records.shown.rows)
        if row.verdict is Verdict.FAIL and row.slice != OVERALL
    ]
    for source, key in [*stated, *removed]:
        named = names.named(key) if "=" in key else NOT_SHARED
        if named not in seen:
            seen.add(named)
            yield WorseSlice(slice=named, source="release" if source == "release" else "ledger")
    for _, key in failed:
        if key not in seen:
            seen.add(key)
            yield WorseSlice(slice=key, source="decision")


def _scope_of_names(records: CardRecords) -> Scope:
    report = records.report
    registered = {} if report is None else {report.run: report.registered or {}}
    run = "" if report is None else report.run
    return scope_of_run(replace(records.sharing, registered=registered), run, None, None)


def _remarks(records: CardRecords, evaluation: CardEvaluation | None) -> Iterator[str]:
    """Yield what a reader has to know of the card itself."""
    yield from records.remarks
    if evaluation is None:
        return
    if evaluation.limit is not None:
        yield "The evaluation is a smoke run over a part of the dataset."
    if evaluation.k == 1:
        yield (
            f"The data of the evaluation is {evaluation.subjects}: its numbers are of no private "
            "person. They lie on grids all the same."
        )
    else:
        yield (
            f"Numbers are of at least {evaluation.k} speakers, in bands and on grids: they say "
            "nothing about fewer."
        )
    if evaluation.hidden:
        yield (
            f"Not shown: {count(evaluation.hidden)} of fewer speakers, of few who make most of "
            "it, or of nobody knows how many."
        )
    report = records.report
    scope = _scope_of_names(records)
    unnamed = sum(NOT_SHARED in scope.named(item.slice) for item in report.slices) if report else 0
    if unnamed:
        yield (
            f"Slices whose values relkit.yaml does not share (privacy.share): {count(unnamed)}; "
            "they have no number here."
        )


def _not_measured(card: ModelCard) -> Iterator[str]:
    """Yield what no record has, in the order of the card."""
    evaluation = card.evaluation
    if evaluation is None:
        yield "evaluation"
    if evaluation is None or not any(gap.gap.value is not None for gap in evaluation.gaps):
        yield NO_GROUPS
    else:
        fairness = card.text.fairness
        groups = {f"{gap.column}=*" for gap in evaluation.gaps if gap.gap.value is not None}
        if fairness is not None and fairness.group not in groups:
            yield f"{NO_GROUPS} of {fairness.group}"
    if evaluation is None:
        yield "failures"
        yield "runaways"
    if evaluation is None or not evaluation.latency:
        yield "latency"
    if card.cost is None:
        yield "cost"
    if not card.lineage:
        yield "lineage"
    if card.decision is None:
        yield "decision"
    if card.rollback is None:
        yield "rollback target"


def _not_stated(card: ModelCard) -> Iterator[str]:
    """Yield what nobody has said, in the order of the card."""
    text, training = card.text, card.text.training_data
    parts: tuple[tuple[str, object], ...] = (
        ("intended use", text.intended_use),
        ("out of scope", text.out_of_scope),
        ("limitations", text.limitations),
        ("risks", text.risks),
        ("fairness", text.fairness),
        ("training data", training and training.description),
        ("consent of the training data", training and training.consent),
        ("source of the training data", training and training.source),
        ("languages", text.languages),
        ("base model", text.base_model),
        ("licence", card.release.licence),
        ("contact", text.contact),
    )
    yield from (name for name, value in parts if not value)
    yield from (
        f"mitigation of the risk {number}"
        for number, risk in enumerate(text.risks, start=1)
        if risk.mitigation is None
    )
