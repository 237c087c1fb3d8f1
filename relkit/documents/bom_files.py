"""A model card as CycloneDX 1.6 (ML-BOM): JSON that tools for bills of materials read.

Source of the form: CycloneDX 1.6, JSON schema, ``component.modelCard``. What the form has no field
for is a property named ``relkit:…``; the form wants numbers as strings. What nobody measured or
stated has no field and is named in ``relkit:not_measured`` and ``relkit:not_stated``.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping

from relkit.core.digests import JsonValue, digest_of
from relkit.core.slices import OVERALL
from relkit.core.wording import amount, change, margin, metric_name
from relkit.documents.card_evaluation import shown_words
from relkit.documents.card_files import finite
from relkit.documents.types import CardEvaluation, CardGap, CardNumber, ModelCard
from relkit.registry.types import Component, Lineage

Document = dict[str, JsonValue]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:relkit:bom:v1")

_FLOWS: Mapping[Component, tuple[str, str, str]] = {
    "asr": ("automatic-speech-recognition", "audio", "text"),
    "llm": ("text-generation", "text", "text"),
    "tts": ("text-to-speech", "text", "audio"),
    "retriever": ("retrieval", "text", "text"),
    "safety": ("text-classification", "text", "text"),
    "stack": ("speech-assistant", "audio", "audio"),
}
"""Component to its task, and what goes into it and comes out."""

_SPDX = {
    name.lower(): name
    for name in (
        *("0BSD", "AFL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause"),
        *("BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"),
        *("CC-BY-SA-4.0", "CC0-1.0", "ECL-2.0", "EPL-2.0", "EUPL-1.2", "GPL-2.0-only"),
        *("GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "MS-PL"),
        *("ODbL-1.0", "OSL-3.0", "PDDL-1.0", "Unlicense", "Zlib"),
    )
}
"""Identifiers of the SPDX list that models and data come under; any other licence is a name."""


def model_bom(card: ModelCard, *, tool_version: str) -> str:
    """Return the bill of materials of a release: the same card gives the same bytes.

    Its serial number is a UUIDv5 of the release and of what is said about it, so that two that
    say different things never share one; its time is that of the newest record. Raises
    InvalidInput for a number that is not finite.
    """
    release, parts = card.release, [*_parts(card)]
    model = _model(card)
    tool: Document = {"type": "application", "name": "relkit", "version": tool_version}
    content: Document = {
        "metadata": {
            "timestamp": _newest(card),
            "tools": {"components": [tool]},
            "component": model,
        },
        "components": parts,
        "dependencies": [
            {"ref": _ref(card), "dependsOn": [part["bom-ref"] for part in parts if _needed(part)]}
        ],
        "compositions": [{"aggregate": "incomplete", "assemblies": [_ref(card)]}],
    }
    identity = f"{release.model}@{release.version} {release.digest} {digest_of(content)}"
    document: Document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, identity)}",
        "version": 1,
        **content,
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _ref(card: ModelCard) -> str:
    return f"model:{card.release.model}@{card.release.version}"


def _newest(card: ModelCard) -> str:
    times = [card.release.created, *(event.at for event in card.release.served)]
    times += [made.created for made in (card.evaluation, card.decision) if made is not None]
    return max(times)


def _hashes(digest: str | None) -> Document:
    algorithm, _, content = (digest or "").partition(":")
    return {"hashes": [{"alg": "SHA-256", "content": content}]} if algorithm == "sha256" else {}


def _model(card: ModelCard) -> Document:
    """Return the component that the document describes."""
    release, text = card.release, card.text
    component: Document = {
        "type": "machine-learning-model",
        "bom-ref": _ref(card),
        "name": release.model,
        "version": release.version,
    }
    if text.contact is not None:
        component["supplier"] = {"contact": [{"name": text.contact}]}
    if text.intended_use is not None:
        component["description"] = text.intended_use
    if release.kind in {"files", "reference"}:
        component |= _hashes(release.digest)
    if release.licence:
        component["licenses"] = [_licence(release.licence)]
    if text.base_model is not None and text.base_model.casefold() != "none":
        base: Document = {"type": "machine-learning-model", "name": text.base_model}
        component["pedigree"] = {"ancestors": [base]}
    component["modelCard"] = _model_card(card)
    component["properties"] = _properties(_about(card))
    return component


def _licence(name: str) -> Document:
    """Return a licence by its SPDX identifier, as an expression of such, or else by name."""
    known = _SPDX.get(name.lower())
    if known is not None:
        return {"license": {"id": known, "acknowledgement": "declared"}}
    words = name.split()
    if len(words) % 2 and len(words) > 1:
        operators = set(words[1::2]) <= {"AND", "OR"}
        if operators and all(word.lower() in _SPDX for word in words[::2]):
            words[::2] = [_SPDX[word.lower()] for word in words[::2]]
            return {"expression": " ".join(words), "acknowledgement": "declared"}
    return {"license": {"name": name, "acknowledgement": "declared"}}


# --- the model card


def _model_card(card: ModelCard) -> Document:
    task, takes, gives = _FLOWS[card.release.component]
    rate = card.release.interface.sample_rate_hz
    audio = "audio" if rate is None else f"audio, {rate} Hz"
    formats = {"audio": audio, "text": "text"}
    evaluation = card.evaluation
    numbers = () if evaluation is None else (*evaluation.numbers, *evaluation.latency)
    metrics = [_metric(item) for item in numbers if item.number.value is not None]
    document: Document = {
        "modelParameters": {
            "task": task,
            "datasets": [{"ref": part["bom-ref"]} for part in _data(card)],
            "inputs": [{"format": formats[takes]}],
            "outputs": [{"format": formats[gives]}],
        }
    }
    if metrics:
        document["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    document["considerations"] = _considerations(card)
    document["properties"] = _properties(_measured(card))
    return document


def _metric(item: CardNumber) -> Document:
    shown = item.number
    metric: Document = {"type": item.metric}
    if shown.value is not None:
        metric["value"] = _text(shown.value, item.metric)
    metric["slice"] = item.slice
    ends = {"lowerBound": shown.low, "upperBound": shown.high}
    bounds = {name: _text(end, item.metric) for name, end in ends.items() if end is not None}
    if bounds:
        metric["confidenceInterval"] = bounds
    return metric


def _text(value: float, what: str) -> str:
    """Return a number as the string that the form wants; raises InvalidInput where it is none."""
    return f"{finite(value, what=what):.12g}"


def _considerations(card: ModelCard) -> Document:
    text, evaluation = card.text, card.evaluation
    limits = [
        *text.limitations,
        *(f"out of scope: {use}" for use in text.out_of_scope),
        *(f"worse on {worse.slice}, by the {worse.source}" for worse in card.worse),
    ]
    document: Document = {}
    if text.intended_use is not None:
        document["useCases"] = [text.intended_use]
    if limits:
        document["technicalLimitations"] = limits
    if text.risks:
        document["ethicalConsiderations"] = [
            {"name": item.risk}
            | ({} if item.mitigation is None else {"mitigationStrategy": item.mitigation})
            for item in text.risks
        ]
    gaps = () if evaluation is None else evaluation.gaps
    assessed = [_fairness(gap) for gap in gaps if gap.gap.value is not None]
    if assessed:
        document["fairnessAssessments"] = assessed
    return document


def _fairness(gap: CardGap) -> Document:
    """Return a gap between groups, in words: whom it is to the disadvantage of, and how large.

    Of equal groups none is at risk.
    """
    name, shown = metric_name(gap.metric), gap.gap
    value = 0.0 if shown.value is None else shown.value
    ends = change(value, shown.low, shown.high, shown.unit).interval
    where = f"from {gap.best}" if gap.best else f"between the groups of {gap.column}"
    harms = f"{name} differs by {amount(value, shown.unit)} ({ends}) {where}"
    if gap.tolerance is not None:
        tolerated = {True: "within", False: "not within", None: "not shown to be within"}
        limit = margin(gap.tolerance, shown.unit)
        harms += f"; {tolerated[gap.within]} the tolerance of {limit}"
    return {**({"groupAtRisk": gap.worst} if gap.worst else {}), "harms": harms}


# --- parts


def _parts(card: ModelCard) -> Iterator[Document]:
    """Yield the data a release was trained and evaluated on, and the releases of a stack."""
    yield from _data(card)
    for model, version in sorted(card.release.pins.items()):
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"model:{model}@{version}",
            "name": model,
            "version": version,
        }


def _needed(part: Document) -> bool:
    return part["type"] == "machine-learning-model"


def _data(card: ModelCard) -> Iterator[Document]:
    """Yield datasets, each once, and the training data as people state it."""
    evaluation, seen = card.evaluation, set[str]()
    lineage = [*card.lineage]
    if evaluation is not None:
        lineage.append(
            Lineage(
                dataset=evaluation.dataset,
                digest=evaluation.dataset_digest,
                revision=evaluation.revision,
            )
        )
    for item in lineage:
        ref = f"dataset:{item.dataset}@{item.digest.rpartition(':')[2]}:{item.use}"
        if ref in seen:
            continue
        seen.add(ref)
        component: Document = {"type": "data", "bom-ref": ref, "name": item.dataset}
        if item.revision is not None:
            component["version"] = item.revision
        yield {
            **component,
            **_hashes(item.digest),
            "data": [{"type": "dataset", "name": item.dataset}],
            "properties": _properties([("use", item.use)]),
        }
    stated = card.text.training_data
    if stated is not None:
        component = {"type": "data", "bom-ref": "dataset:stated", "name": "training data"}
        if stated.description is not None:
            component["description"] = stated.description
        component["data"] = [{"type": "dataset", "name": "training data"}]
        facts = [("use", "training"), ("consent", stated.consent), ("source", stated.source)]
        yield {**component, "properties": _properties(facts)}


# --- properties


def _properties(facts: Iterable[tuple[str, str | None]]) -> list[JsonValue]:
    return [{"name": f"relkit:{name}", "value": value} for name, value in facts if value]


def _about(card: ModelCard) -> Iterator[tuple[str, str | None]]:
    """Yield what is known of a release itself: its fit, where it was served, what is open."""
    release, interface = card.release, card.release.interface
    yield "component", release.component
    yield "kind", release.kind
    yield "vendor", release.vendor
    if release.kind == "hosted":
        yield "configuration", release.digest
    yield "attested", release.attested
    yield "languages", ", ".join(card.text.languages or interface.languages)
    yield "label_schema", interface.label_schema
    yield "feature_schema", interface.feature_schema
    yield "api_version", interface.api_version
    yield "tokenizer", interface.tokenizer
    yield "runtime", release.runtime
    yield from (("requires", f"{model} {text}") for model, text in sorted(release.requires.items()))
    yield "live", "yes" if release.live else "no"
    yield "withdrawn", release.yanked
    for event in release.served:
        share = "" if event.traffic is None else f" {event.traffic:.6g}"
        yield "event", f"{event.at} {event.kind}{share}"
    yield from (("not_measured", name) for name in card.not_measured)
    yield from (("not_stated", name) for name in card.not_stated)


def _measured(card: ModelCard) -> Iterator[tuple[str, str | None]]:
    """Yield what stands behind the numbers: suite, people, decision, signature, way back."""
    decision = card.decision
    if card.evaluation is not None:
        yield from _evaluated(card.evaluation)
    if decision is not None:
        yield "decision", decision.digest
        yield "policy", f"{decision.policy} {decision.policy_digest}"
        yield "enforcement", decision.enforcement
        yield "verdict", decision.verdict.value
        yield "decided", decision.created
        yield "expires", decision.expires
        yield "overrides", str(decision.overrides)
    if card.signature is not None:
        yield "signature", card.signature.problem or ", ".join(card.signature.signers)
    if card.cost is not None:
        amount = _text(card.cost.amount, "the serving cost")
        yield "serving_cost", f"{amount} {card.cost.currency} per {card.cost.per}"
    if card.rollback is not None:
        target = card.rollback.target or "none"
        unverified = "" if card.rollback.verified or not card.rollback.target else ", unverified"
        yield "rollback_target", f"{target}{unverified}"
    yield from (("remark", remark) for remark in card.remarks)


def _evaluated(evaluation: CardEvaluation) -> Iterator[tuple[str, str | None]]:
    yield "suite", f"{evaluation.suite} {evaluation.suite_digest}"
    yield "normalizer", evaluation.normalizer
    yield "scorer", evaluation.scorer
    yield "evaluated", evaluation.created
    yield "subjects", evaluation.subjects
    yield "fewest_people", str(evaluation.k)
    yield "report", evaluation.report
    yield "hidden_numbers", str(evaluation.hidden)
    yield "coverage", shown_words(evaluation.coverage)
    yield "failures", shown_words(evaluation.failures)
    yield "runaways", shown_words(evaluation.runaways)
    yield from (("load", f"{name}={value}") for name, value in sorted(evaluation.load.items()))
    for item in (*evaluation.numbers, *evaluation.latency):
        if item.number.value is None:
            where = "" if item.slice == OVERALL else f" on {item.slice}"
            yield "not_shown", f"{item.metric}{where}: {shown_words(item.number)}"
    for gap in evaluation.gaps:
        if gap.gap.value is None:
            yield "not_shown", f"gap of {gap.metric} by {gap.column}: {shown_words(gap.gap)}"
        elif gap.visible is not None:
            least = amount(gap.visible, gap.gap.unit)
            yield "smallest_visible_gap", f"{gap.metric} by {gap.column}: {least}"
