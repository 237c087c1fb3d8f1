"""``release.json`` to :class:`Release` and back; every defect with its line, no file is opened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relkit.domain.errors import InvalidInput
from relkit.domain.releases import (
    Artifact,
    ArtifactFile,
    HostedIdentity,
    Interface,
    Lineage,
    Origin,
    Release,
    ServingCost,
)
from relkit.records import yaml_text
from relkit.records.defects import Defect, checked, lines_of
from relkit.records.digests import JsonValue, digest_of, sha256_bytes
from relkit.records.release_checks import contradictions, kind_of
from relkit.records.release_records import SCHEMA, ArtifactRecord, ReleaseRecord
from relkit.records.strict import Lines, decode, line_of, parse_json

_HINT = "docs/registry.md says what a release holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRelease:
    """A release as it was read: None with its defects where there are some."""

    release: Release | None
    defects: tuple[Defect, ...] = ()


def parse_release(data: bytes, *, source: str) -> Release:
    """Return a release from JSON; raises InvalidInput for its first defect, saying how many."""
    found = read_release(data, source=source)
    if found.release is None:
        first, more = found.defects[0], len(found.defects) - 1
        count = f" (and {more} more: relkit registry validate)" if more else ""
        raise InvalidInput(f"{first}{count}", hint=first.hint or _HINT)
    return found.release


def read_release(data: bytes, *, source: str) -> ReadRelease:
    """Return a release from JSON, or everything that is wrong with it."""
    try:
        text = decode(data, source=source)
        document = parse_json(text, source=source)
    except InvalidInput as error:
        return ReadRelease(release=None, defects=(_told(error, source),))
    return release_of(document, source=source, text=text)


def load_document(data: bytes, *, source: str) -> tuple[dict[str, Any], str]:
    """Return what a release is to be made from, JSON or YAML, and its text; raises InvalidInput."""
    text = decode(data, source=source)
    is_json = not source.endswith((".yaml", ".yml"))
    document: Any = (
        parse_json(text, source=source) if is_json else yaml_text.load(text, source=source)[0]
    )
    if not isinstance(document, dict):
        raise InvalidInput(f"{source}: a mapping of keys to values was expected", hint=_HINT)
    return document, text


def release_of(document: JsonValue, *, source: str, text: str) -> ReadRelease:
    """Return the release of a document, or all that is wrong; ``text`` tells the lines."""

    def lines() -> Lines:
        return lines_of(text, source=source)

    record, defects = checked(ReleaseRecord, document, source=source, lines=lines)
    if record is None:
        return ReadRelease(release=None, defects=defects)
    if wrong := list(contradictions(record)):
        known = lines()
        return ReadRelease(
            release=None,
            defects=tuple(
                Defect(source=source, line=line_of(path, known), message=message, hint=hint)
                for path, message, hint in wrong
            ),
        )
    return ReadRelease(release=sealed(_release(record)))


def sealed(release: Release) -> Release:
    """Return a release with the digest of its record."""
    return replace(release, digest=_digest(release_document(release)))


def _digest(document: Mapping[str, JsonValue]) -> str:
    """Return ``digest_of`` the document, ten times as fast where Python writes the same JSON.

    It does for ASCII (other keys may be sorted otherwise) and for numbers of usual size.
    """
    cost = document.get("serving_cost")
    amount = cost["amount"] if isinstance(cost, Mapping) else 1.5
    if isinstance(amount, float) and not amount.is_integer() and _SMALL <= amount < _LARGE:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if text.isascii():
            return sha256_bytes(text.encode("ascii"))
    return digest_of(document)


_SMALL, _LARGE = 1e-4, 1e15
"""Where Python and JavaScript both write a float without an exponent."""


def render_release(release: Release) -> str:
    """Return ``release.json`` as text, the same for the same release."""
    return json.dumps(release_document(release), indent=2, ensure_ascii=False) + "\n"


def release_document(release: Release) -> dict[str, JsonValue]:
    """Return a release as a document; what it does not say is left out."""
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "model": release.model,
        "version": release.version,
        "component": release.component,
        "kind": release.kind,
        "created": release.created,
        "owner": release.owner,
        "licence": release.licence,
        "artifact": None if release.artifact is None else _artifact_document(release.artifact),
        "hosted": None if release.hosted is None else _present(release.hosted),
        "run": release.run,
        "report": release.report,
        "decision": release.decision,
        "lineage": [_present(one) for one in release.lineage],
        "interface": _present(release.interface),
        "requires": dict(sorted(release.requires.items())),
        "pins": dict(sorted(release.pins.items())),
        "worse_slices": list(release.worse_slices),
        "serving_cost": None if release.serving_cost is None else _present(release.serving_cost),
        "runtime": release.runtime,
        "attested": None if release.attested == "none" else release.attested,
        "origin": None if release.origin is None else _present(release.origin),
    }
    return {key: value for key, value in document.items() if value not in (None, "", [], {})}


def _told(error: InvalidInput, source: str) -> Defect:
    """Return an error about a whole text as a defect; its message begins with the place."""
    rest = error.message.removeprefix(source)
    line = None
    if rest.startswith(", line "):
        number, _, rest = rest.removeprefix(", line ").partition(":")
        line = int(number)
    return Defect(source=source, line=line, message=rest.lstrip(": "), hint=error.hint)


def _artifact_document(artifact: Artifact) -> JsonValue:
    return {
        "digest": artifact.digest,
        **({} if artifact.root is None else {"root": artifact.root}),
        **({"files": {one.path: one.digest for one in artifact.files}} if artifact.files else {}),
        **({} if artifact.reference is None else {"reference": artifact.reference}),
    }


def _present(
    value: HostedIdentity | Interface | Lineage | Origin | ServingCost,
) -> dict[str, JsonValue]:
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    plain = {key: list(v) if isinstance(v, tuple) else v for key, v in fields.items()}
    return {key: v for key, v in plain.items() if v not in (None, [])}


def _release(record: ReleaseRecord) -> Release:
    whole = record.artifact
    cost = record.serving_cost
    return Release(
        model=record.model,
        version=record.version,
        component=record.component,
        kind=kind_of(record),
        digest="",
        created=record.created,
        artifact=None if whole is None else _artifact(whole),
        hosted=None if record.hosted is None else HostedIdentity(**record.hosted.model_dump()),
        report=record.report,
        run=record.run,
        decision=record.decision,
        lineage=tuple(Lineage(**one.model_dump()) for one in record.lineage),
        interface=Interface(
            **{**record.interface.model_dump(), "languages": tuple(record.interface.languages)}
        ),
        requires=dict(sorted(record.requires.items())),
        pins=dict(sorted(record.pins.items())),
        worse_slices=tuple(record.worse_slices),
        owner=record.owner,
        licence=record.licence,
        serving_cost=None if cost is None else ServingCost(**cost.model_dump()),
        runtime=record.runtime,
        attested=record.attested,
        origin=None if record.origin is None else Origin(**record.origin.model_dump()),
    )


def _artifact(record: ArtifactRecord) -> Artifact:
    files = sorted(record.files.items())
    return Artifact(
        digest=record.digest,
        root=record.root,
        files=tuple(ArtifactFile(path=path, digest=digest) for path, digest in files),
        reference=record.reference,
    )
