"""A model card in words: what the template ``card`` is filled with, and its title.

Every text is plain; the template engine escapes it. A number reads as everywhere else, with its
interval and of how much it is; one that is not shown says why.
"""

from collections.abc import Mapping

from relkit.core.slices import OVERALL
from relkit.core.wording import (
    NONE,
    count,
    metric_name,
    number,
    percent,
    short_digest,
    signed,
)
from relkit.documents.card_evaluation import shown_words
from relkit.documents.types import (
    NOT_MEASURED,
    CardDecision,
    CardEvaluation,
    CardGap,
    CardNumber,
    CardSignature,
    ModelCard,
)
from relkit.evaluation.types import MIXED_LOAD
from relkit.gate.view import WORDS
from relkit.incident.received.words import NOT_STATED, REFUSAL_WORDS, SUBJECT_WORDS
from relkit.report.types import SharedRow

_Cells = tuple[str, ...]

_MOST_METRICS = 3
"""Metrics that are shown by slice; the first one is what slices are ranked by."""

_SOURCES = {
    "release": "the release record",
    "decision": "the gate's decision",
    "ledger": "a rollback in the ledger",
}
_EVENTS = {
    "registered": "registered",
    "canary": "canary",
    "promoted": "promoted",
    "held": "held",
    "rolled_back": "rolled back",
    "yanked": "withdrawn",
    "restored": "restored",
    "overridden": "overridden",
    "verified": "verified",
}


_ATTESTED = {
    "gate": "a gate stands behind it",
    "legacy": "imported: no gate has seen it",
    "none": "no gate is recorded with it",
}


def card_title(card: ModelCard) -> str:
    """Return the title of a card: model and version."""
    return f"{card.release.model} {card.release.version}"


def card_values(card: ModelCard) -> Mapping[str, object]:
    """Return what the template is filled with: the card itself, and its parts in words."""
    evaluation = card.evaluation
    numbers = () if evaluation is None else evaluation.numbers
    return {
        "card": card,
        "title": card_title(card),
        "warning": _warning(card),
        "identity": _identity(card),
        "intended": _intended(card),
        "out_of_scope": card.text.out_of_scope,
        "limitations": card.text.limitations,
        "risks": tuple((risk.risk, risk.mitigation or NOT_STATED) for risk in card.text.risks),
        "training": _training(card),
        "evaluated": () if evaluation is None else _evaluated(evaluation),
        "overall": tuple(_row(item)[1:] for item in numbers if item.slice == OVERALL),
        "by_slice": _by_slice(numbers),
        "gaps": () if evaluation is None else tuple(map(gap_words, evaluation.gaps)),
        "extremes": () if evaluation is None else _extremes(evaluation),
        "latency": () if evaluation is None else tuple(_row(n)[1:] for n in evaluation.latency),
        "load": "" if evaluation is None else load_words(evaluation),
        "cost": NOT_MEASURED
        if card.cost is None
        else f"{card.cost.amount:g} {card.cost.currency} per {card.cost.per} (release record)",
        "worse": tuple((item.slice, _SOURCES[item.source]) for item in card.worse),
        "lineage": tuple(
            (item.dataset, item.use, item.revision or NONE, short_digest(item.digest))
            for item in card.lineage
        ),
        "decision": () if card.decision is None else _decision(card.decision),
        "checks": () if card.decision is None else tuple(map(_check, card.decision.shown.rows)),
        "unshown_checks": 0 if card.decision is None else card.decision.shown.hidden,
        "canaries": tuple(
            (finding.policy, finding.verdict.replace("_", " "), finding.at)
            for finding in card.findings
        ),
        "signature": signature_words(card.signature),
        "rollback": _rollback(card),
        "history": tuple(
            (
                event.at,
                _EVENTS[event.kind],
                NONE if event.traffic is None else percent(event.traffic),
            )
            for event in card.release.served
        ),
        "remarks": card.remarks,
        "not_measured": card.not_measured,
        "not_stated": card.not_stated,
    }


def gap_words(gap: CardGap) -> _Cells:
    """Return a gap as cells: column, gap with interval, between which, visible, tolerated."""
    shown = gap.gap
    if shown.value is None:
        said = shown.missing or NOT_MEASURED
    else:
        low, high = (
            signed(end, "fraction").removesuffix(" points") for end in (shown.low, shown.high)
        )
        said = f"{number(shown.value, 'fraction').replace(' %', ' points')} ({low} to {high})"
    none = NONE if shown.value is None else "none"
    visible = none if gap.visible is None else number(gap.visible, "fraction")
    return (
        gap.column,
        metric_name(gap.metric),
        said,
        f"{gap.worst}, {gap.best}" if gap.worst else NONE,
        f"{count(gap.groups)}{', others not shown' if gap.left_out else ''}",
        visible.replace(" %", " points"),
        _tolerated(gap),
    )


def _tolerated(gap: CardGap) -> str:
    if gap.tolerance is None:
        return NOT_STATED
    limit = number(gap.tolerance, "fraction").replace(" %", " points")
    words = {True: "kept", False: "exceeded", None: "cannot be told"}[gap.within]
    return f"{limit}: {words}"


def load_words(evaluation: CardEvaluation) -> str:
    """Return the conditions that times were measured under."""
    if evaluation.load_digest == MIXED_LOAD:
        return "different loads: compare these times with nothing"
    if not evaluation.load_digest and not evaluation.load:
        return "a load that is not here"
    if not evaluation.load:
        return f"load {short_digest(evaluation.load_digest)}; what it was is not here"
    return ", ".join(f"{name} {value}" for name, value in evaluation.load.items())


def signature_words(signature: CardSignature | None) -> str:
    """Return who vouches for a decision."""
    if signature is None:
        return NOT_MEASURED
    if signature.problem == "unsigned":
        return "unsigned: nobody vouches for it"
    if signature.problem is not None:
        return f"not verified: {signature.problem}"
    keys = ", ".join(key[:16] for key in signature.signers)
    return f"verified: signed by the trusted key {keys}"


def _traffic(share: float | None) -> str:
    return NONE if share is None else percent(share)


def _warning(card: ModelCard) -> str:
    """Return what has to be read before all else, empty where there is nothing."""
    release = card.release
    if release.yanked is None:
        return ""
    target = card.rollback.target if card.rollback is not None else None
    way_out = f"Serve {release.model} {target} instead." if target else "Serve another release."
    return f"WITHDRAWN since {release.yanked}: do not serve this release. {way_out}"


def _identity(card: ModelCard) -> tuple[_Cells, ...]:
    release = card.release
    rate = release.interface.sample_rate_hz
    return (
        ("component", release.component),
        ("kind", release.kind or NONE),
        ("created", release.created),
        ("state", "withdrawn" if release.yanked else "live" if release.live else "not live"),
        ("licence", release.licence or NOT_STATED),
        ("digest", release.digest or NONE),
        *((("vendor", release.vendor),) if release.vendor else ()),
        *((("runtime", release.runtime),) if release.runtime else ()),
        *((("sample rate", f"{rate} Hz"),) if rate else ()),
        *(("requires", f"{name} {text}") for name, text in release.requires.items()),
        *(("pins", f"{name} {text}") for name, text in release.pins.items()),
        ("attested", _ATTESTED[release.attested]),
    )


def _intended(card: ModelCard) -> tuple[_Cells, ...]:
    text = card.text
    return (
        ("intended use", text.intended_use or NOT_STATED),
        ("languages", ", ".join(text.languages) or NOT_STATED),
        ("base model", text.base_model or NOT_STATED),
        ("contact", text.contact or NOT_STATED),
    )


def _training(card: ModelCard) -> tuple[_Cells, ...]:
    training = card.text.training_data
    return (
        ("data", (training and training.description) or NOT_STATED),
        ("consent", (training and training.consent) or NOT_STATED),
        ("source", (training and training.source) or NOT_STATED),
    )


def _evaluated(evaluation: CardEvaluation) -> tuple[_Cells, ...]:
    revision = f" at {evaluation.revision}" if evaluation.revision else ""
    return (
        ("dataset", f"{evaluation.dataset}{revision}, {short_digest(evaluation.dataset_digest)}"),
        ("subjects", SUBJECT_WORDS[evaluation.subjects]),
        ("suite", f"{evaluation.suite}, {short_digest(evaluation.suite_digest)}"),
        ("normalizer, scorer", f"{evaluation.normalizer}, {evaluation.scorer}"),
        ("evaluated", evaluation.created),
        ("scored of what was asked", shown_words(evaluation.coverage)),
        ("intervals", f"two-sided 95 %, clustered by {evaluation.cluster}"),
    )


def _row(item: CardNumber) -> _Cells:
    better = {"down": "lower is better", "up": "higher is better"}[item.better]
    return (
        item.slice,
        metric_name(item.metric),
        shown_words(item.number),
        item.number.basis,
        f"{item.help}; {better}" if item.help else better,
    )


def _by_slice(numbers: tuple[CardNumber, ...]) -> tuple[tuple[str, tuple[_Cells, ...]], ...]:
    """Return the slices of the first metrics, each metric a table."""
    metrics = [*dict.fromkeys(item.metric for item in numbers)][:_MOST_METRICS]
    tables = (
        (
            metric_name(metric),
            tuple(
                (item.slice, shown_words(item.number), item.number.basis)
                for item in numbers
                if item.metric == metric and item.slice != OVERALL
            ),
        )
        for metric in metrics
    )
    return tuple((name, rows) for name, rows in tables if rows)


def _extremes(evaluation: CardEvaluation) -> tuple[_Cells, ...]:
    return tuple(
        (name, shown_words(shown), shown.basis)
        for name, shown in (
            ("utterances without an answer", evaluation.failures),
            ("runaways: more words put in than max(10, spoken)", evaluation.runaways),
        )
    )


def _decision(decision: CardDecision) -> tuple[_Cells, ...]:
    enforced = "" if decision.enforcement == "enforce" else " (shadow: it promotes nothing)"
    return (
        ("verdict", f"{WORDS[decision.verdict]}{enforced}"),
        ("policy", f"{decision.policy}, {short_digest(decision.policy_digest)}"),
        ("decided", decision.created),
        ("overrides with a trusted signature", count(decision.overrides)),
    )


def _check(row: SharedRow) -> _Cells:
    verdict = "" if row.verdict is None else WORDS[row.verdict]
    mode = f" ({row.mode})" if row.mode else ""
    slices = f" ({count(row.slices)} slices)" if row.slices > 1 else ""
    return (f"{verdict}{mode}", row.name, f"{row.slice}{slices}", row.observed, row.allowed)


def _rollback(card: ModelCard) -> str:
    """Return where to go back to from this release, as a sentence."""
    rollback = card.rollback
    if rollback is None:
        return f"Where to go back to from this release: {NOT_MEASURED}."
    if rollback.target is not None:
        verified = "a gate passed it" if rollback.verified else "no gate stands behind it"
        return (
            f"If this release is bad, go back to {card.release.model} {rollback.target} "
            f"({verified})."
        )
    others = [item for item in rollback.refused if item.code != "bad"]
    refused = "; ".join(
        f"{item.version}: {REFUSAL_WORDS.get(item.code, item.code)}" for item in others
    )
    reasons = f" ({refused})" if refused else ""
    return f"There is no earlier release to go back to{reasons}."
