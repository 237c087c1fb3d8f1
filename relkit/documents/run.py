"""``relkit card``: reads the records of a release, checks their digests, writes what they say."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.attestation.statements import parse_content
from relkit.attestation.types import TrustedKey
from relkit.attestation.verify import VerifyOptions, verify
from relkit.core.codec import decode
from relkit.core.config import Privacy
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.slices import OVERALL, spec_of
from relkit.documents.bom_files import model_bom
from relkit.documents.card import NOT_HERE, card_of, identity_digest
from relkit.documents.card_evaluation import CardRecords, Tail, evidence_of, report_tails
from relkit.documents.card_files import CARD, eval_results, front_matter, parse_card_text
from relkit.documents.card_view import card_title, card_values
from relkit.documents.layout import document_bytes, write_document
from relkit.documents.ports import DocumentRenderer
from relkit.documents.types import (
    CardFormat,
    CardSignature,
    CardText,
    ModelCard,
    WrittenDocument,
)
from relkit.evaluation.ports import RunStore, SliceAggregator
from relkit.evaluation.run_files import parse_report
from relkit.evaluation.types import EvalReport, Scalar, overall_if_any
from relkit.gate.types import GateDecision, Override, Verdict, WrittenCheck
from relkit.monitoring.types import LiveFinding
from relkit.registry.ledger import LedgerState, state_of
from relkit.registry.ports import RegistryPorts
from relkit.registry.promote import REPORT
from relkit.registry.types import MODEL_NAME, Release
from relkit.report.shared_numbers import Sharing
from relkit.report.shared_view import shared_decision
from relkit.rollback.run import RollbackOptions
from relkit.rollback.target import RollbackPlan
from relkit.rollback.types import RollbackTarget
from relkit.statistics.estimates import sums_needed, timings_needed
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums

CHECK = "card"
"""The name of the check that ``--strict`` leaves for a gate's ``requires:``."""

_AT = "@"
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """Whose card, in which format, where it goes (None: it is only returned).

    ``subject`` is ``MODEL`` or ``MODEL@VERSION``; without a version it is the one that is live, or
    the newest that is registered. ``strict`` leaves a check that passes where nothing is left open.
    """

    subject: str
    format: CardFormat = "markdown"
    out: Path | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPorts:
    """What a card needs: the records of a workspace, and what draws documents.

    ``text`` gives the bytes of a release's card.yaml, None where there is none. ``overrides`` are
    those about a decision. ``keep`` writes the check of ``--strict``. ``shown`` is how a path is
    called, without folders of the machine.
    """

    registry: RegistryPorts
    runs: RunStore
    slices: Callable[[Path], SliceAggregator]
    keys: Callable[[], tuple[TrustedKey, ...]]
    overrides: Callable[[GateDecision], tuple[Override, ...]]
    rollback: Callable[[RollbackOptions], RollbackPlan]
    findings: Callable[[], Iterable[LiveFinding]]
    text: Callable[[str, str], bytes | None]
    documents: DocumentRenderer
    privacy: Privacy
    keep: Callable[[WrittenCheck], Path]
    shown: Callable[[Path], str]
    tool_version: str


def card(options: CardOptions, ports: CardPorts) -> tuple[WrittenDocument, bytes, ModelCard]:
    """Write the card of a release and return what became of it, its bytes, and what it says.

    Raises UsageError for what is not registered, InvalidInput for records that are not those of
    the release, and for a card.yaml that says what it may not.
    """
    made = read_card(options.subject, ports)
    data = _formatted(made, options.format, ports)
    document = write_document(
        data,
        options.out,
        ports.shown,
        not_measured=made.not_measured,
        not_stated=made.not_stated,
    )
    if options.strict:
        ports.keep(_check(made, ports))
    return document, data, made


def read_card(subject: str, ports: CardPorts) -> ModelCard:
    """Return the card of a release, its records read and checked; raises as :func:`card`."""
    release, state, remarks = _release(subject, ports)
    text, source = (
        ports.text(release.model, release.version),
        f"{release.model}/{release.version}/{CARD}",
    )
    report, data = _report(release, ports)
    decision, envelope, digest = _decision(release, state, ports)
    sharing = Sharing(privacy=ports.privacy)
    records = CardRecords(
        release=release,
        text=CardText() if text is None else parse_card_text(text, source=source),
        sharing=sharing,
        events=ports.registry.ledger.events(release.model),
        state=state,
        report=report,
        decision=decision,
        decision_digest=digest,
        findings=tuple(ports.findings()),
        remarks=tuple(remarks),
    )
    if report is not None and data is not None:
        records = _with_people(records, report, data, ports)
    if decision is not None and envelope is not None:
        overrides = ports.overrides(decision)
        registered = dict(_registered(decision, report, ports))
        records = replace(
            records,
            shown=shared_decision(decision, overrides, replace(sharing, registered=registered)),
            overrides=sum(override.key is not None for override in overrides),
            signature=_signature(envelope, decision, ports),
        )
    elif digest is not None:
        remark = "The decision that the ledger names is not here, or was changed."
        records = replace(records, remarks=(*records.remarks, remark))
    target = _rollback(release, state, ports)
    return card_of(replace(records, rollback=target))


def _release(subject: str, ports: CardPorts) -> tuple[Release, LedgerState, list[str]]:
    """Return the release that is meant, as it was registered, and what has to be said of it."""
    model, sign, version = subject.partition(_AT)
    named = re.fullmatch(MODEL_NAME, model) is not None
    state = state_of(model, ports.registry.ledger.events(model)) if named else None
    if not sign:
        versions = ports.registry.releases.versions(model) if named else ()
        newest = [name for name in versions if state is not None and name in state.registered]
        live = None if state is None else state.live
        version = live or next(iter(reversed(newest or [*versions])), "0")
    release = ports.registry.releases.read(model, version)  # says which models there are
    state = state or LedgerState(model=model)
    recorded = state.registered.get(version)
    remarks = []
    if version not in state.registered:
        remarks.append("The ledger does not know this release: it was never registered.")
    elif recorded != release.digest:
        raise InvalidInput(
            f"{ports.registry.releases.source(model, version)}: is not the release that was "
            "registered",
            hint=f"relkit registry verify {model}",
        )
    if version in state.condemned:
        remarks.append("A rollback removed this release as bad.")
    return release, state, remarks


def _report(release: Release, ports: CardPorts) -> tuple[EvalReport | None, bytes | None]:
    """Return the report that the release names, by its digest; None where it has none, or is gone.

    Raises InvalidInput for one that was changed, or is another's.
    """
    if release.report is None:
        return None, None
    source = f"{release.model}/{release.version}/{REPORT}"
    kept = dict(ports.registry.releases.evidence(release.model, release.version)).get(REPORT)
    if kept is None and release.run is not None:
        stored = ports.registry.report(release.run)
        kept, source = (None, source) if stored is None else (stored[1], release.run)
    if kept is None:
        return None, None
    if sha256_bytes(kept) != release.report:
        raise InvalidInput(
            f"{source}: is not the report that the release names: it was changed, or is another's",
            hint=f"put it back (git checkout), and see: relkit registry verify {release.model}",
        )
    return parse_report(decode(kept, source=source), source=source), kept


def _decision(
    release: Release, state: LedgerState, ports: CardPorts
) -> tuple[GateDecision | None, Envelope | None, str | None]:
    """Return the decision of a release by digest, with its envelope; None where it is not here.

    It is the one that last promoted it, else the one that its record names. Raises InvalidInput
    where it is about another artifact.
    """
    digest = state.decisions.get(release.version) or release.decision
    if digest is None:
        return None, None, None
    for name, data in _candidates(release, digest, ports):
        try:
            envelope = parse_envelope(data, source=name)
        except InvalidInput:
            continue
        if envelope.digest != digest:
            continue
        decision = parse_content(envelope.payload, GateDecision, source=name)
        subjects = {subject for _, subject, _ in decision.subjects}
        identity = identity_digest(release)
        if identity is not None and identity not in subjects:
            raise InvalidInput(
                f"{name}: is a decision about another artifact than this release's",
                hint=f"relkit registry verify {release.model}",
            )
        return decision, envelope, digest
    return None, None, digest


def _candidates(release: Release, digest: str, ports: CardPorts) -> Iterator[tuple[str, bytes]]:
    yield from ports.registry.releases.evidence(release.model, release.version)
    data = ports.registry.decision(digest)
    if data is not None:
        yield "the decision", data


def _with_people(
    records: CardRecords, report: EvalReport, data: bytes, ports: CardPorts
) -> CardRecords:
    """Return the records with what says of how many people each number is, and with the load.

    That are the results of the run where they are here, else the sums that the decision rests on.
    """
    stored = ports.registry.report(report.run)
    if stored is None or stored[1] != data:
        sums, tails = _decided_on(records.decision, sha256_bytes(data))
        return replace(records, sums=sums, tails=tails, remarks=(*records.remarks, NOT_HERE))
    header = ports.runs.read_header(report.run)
    load: Mapping[str, Scalar] = header.load if header.load_digest == report.load else {}
    results = ports.runs.results(report.run)
    everything = overall_if_any(report)
    if results is None or everything is None:
        return replace(records, load=load, remarks=(*records.remarks, NOT_HERE))
    rates = [name for name in everything.metrics if name in RATE_METRICS]
    names = [*dict.fromkeys([*rates, "failure_rate", "runaway_rate"])]
    specs = tuple(dict.fromkeys(spec_of(item.slice).name for item in report.slices))
    with ports.slices(results) as slices:
        summed = slices.sums(specs, sums_needed(names))
        timings = {
            column: slices.values((OVERALL,), column)
            for column in timings_needed(everything.metrics)
        }
    return replace(
        records,
        sums=dict.fromkeys(names, summed),
        tails=report_tails(report, timings),
        load=load,
    )


def _decided_on(
    decision: GateDecision | None, report: str
) -> tuple[dict[str, ClusterSums], dict[tuple[str, str], Tail]]:
    """Return the sums of a decision about the run with this report; none where it has none."""
    if decision is None:
        return {}, {}
    parts = {part.name for part in decision.parts if part.candidate.report == report}
    return evidence_of(part for part in decision.evidence.parts if part.part in parts)


def _registered(
    decision: GateDecision, report: EvalReport | None, ports: CardPorts
) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]]]]:
    """Yield the runs of a decision with the values that their datasets were locked with."""
    for part in decision.parts:
        run = part.candidate.run
        with suppress(InvalidInput, UsageError):
            if report is not None and report.run == run:
                yield run, report.registered or {}
            else:
                yield run, ports.runs.read_report(run).registered or {}


def _signature(envelope: Envelope, decision: GateDecision, ports: CardPorts) -> CardSignature:
    """Return who vouches for a decision; it is verified as of the time when it was made."""
    if not envelope.signatures:
        return CardSignature(signers=(), problem="unsigned")
    verification = verify(
        render_envelope(envelope),
        ports.keys(),
        now=decision.created,
        options=VerifyOptions(),
        source="the decision",
    )
    if verification.valid:
        return CardSignature(signers=verification.signers, problem=None)
    problem = "it does not verify" if verification.signers else "no trusted key has signed it"
    return CardSignature(signers=(), problem=problem)


def _rollback(release: Release, state: LedgerState, ports: CardPorts) -> RollbackTarget | None:
    """Return where to go back to if this release is bad; None where that cannot be told."""
    if release.version not in state.registered:
        return None
    options = RollbackOptions(model=release.model, bad=(release.version,))
    try:
        return ports.rollback(options).target
    except (InvalidInput, UsageError):
        return None


def _formatted(made: ModelCard, format_: CardFormat, ports: CardPorts) -> bytes:
    if format_ == "eval-results":
        return eval_results(made).encode()
    if format_ == "cyclonedx":
        return model_bom(made, tool_version=ports.tool_version).encode()
    body = ports.documents.markdown("card", card_values(made))
    if format_ == "markdown":
        body = f"{front_matter(made)}\n{body}"
    return document_bytes(body, format_, ports.documents, title=card_title(made))


def _check(made: ModelCard, ports: CardPorts) -> WrittenCheck:
    """Return what a gate can require: that nothing of a card is left open."""
    missing = [
        *(("not measured", name) for name in made.not_measured),
        *(("not stated", name) for name in made.not_stated),
    ]
    words = ", ".join(f"{name} ({what})" for what, name in missing)
    reason = f"left open: {words}" if missing else "nothing is left open"
    if made.release.yanked is not None:
        reason = f"the release is withdrawn; {reason}"
    return WrittenCheck(
        name=CHECK,
        verdict=Verdict.PASS if complete(made) else Verdict.FAIL,
        reason=reason[:_LONGEST_REASON].rstrip(),
        by=f"relkit card {ports.tool_version}",
        created=ports.registry.clock.now(),
        candidate=made.release.digest,
    )


def complete(made: ModelCard) -> bool:
    """Return whether nothing is left open, of a release that is not withdrawn."""
    return not (made.not_measured or made.not_stated or made.release.yanked)
