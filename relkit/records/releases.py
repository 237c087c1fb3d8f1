"""``release.json`` to :class:`Release` and back; every defect with its line, no file is opened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relkit.domain.errors import InvalidInput
from relkit.domain.releases import Release
from relkit.records import yaml_text
from relkit.records.codec import defects, encode
from relkit.records.defects import Defect, lines_of
from relkit.records.digests import JsonValue, digest_of, sha256_bytes
from relkit.records.release_checks import contradictions, kind_of
from relkit.records.strict import decode, line_of, parse_json

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
    release = defects(Release, document)
    wrong = list(contradictions(release)) if isinstance(release, Release) else release
    if wrong or not isinstance(release, Release):
        lines = lines_of(text, source=source)
        return ReadRelease(
            release=None,
            defects=tuple(
                Defect(source=source, line=line_of(path, lines), message=message, hint=hint)
                for path, message, hint in wrong
            ),
        )
    return ReadRelease(release=sealed(release))


def sealed(release: Release) -> Release:
    """Return a release with its kind, its names in order, and the digest of its record."""
    artifact = release.artifact
    ordered = replace(
        release,
        kind=release.kind or kind_of(release),
        artifact=artifact and replace(artifact, files=dict(sorted(artifact.files.items()))),
        requires=dict(sorted(release.requires.items())),
        pins=dict(sorted(release.pins.items())),
    )
    return replace(ordered, digest=_digest(encode(ordered)))


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
    return json.dumps(encode(release), indent=2, ensure_ascii=False) + "\n"


def _told(error: InvalidInput, source: str) -> Defect:
    """Return an error about a whole text as a defect; its message begins with the place."""
    rest = error.message.removeprefix(source)
    line = None
    if rest.startswith(", line "):
        number, _, rest = rest.removeprefix(", line ").partition(":")
        line = int(number)
    return Defect(source=source, line=line, message=rest.lstrip(": "), hint=error.hint)
