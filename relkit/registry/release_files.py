"""``release.json`` to :class:`Release` and back; every defect with its line, no file is opened.

What a release's schema cannot say: parts that contradict each other, paths that lead out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from relkit.core import yaml_text
from relkit.core.codec import (
    Defect,
    decode,
    defects,
    encode,
    line_of,
    lines_of,
    parse_json,
)
from relkit.core.digests import PREFIX, JsonValue, digest_of, sha256_bytes
from relkit.core.errors import InvalidInput, Malformed
from relkit.core.slices import normal_slice
from relkit.core.yaml_text import KeyPath, shown
from relkit.registry.types import Artifact, Release, ReleaseKind, ReleaseReading
from relkit.registry.versions import VersionRange

_HINT = "docs/registry.md says what a release holds"

Wrong = tuple[KeyPath, str, str | None]
"""Which key is wrong, what is wrong with it, and what to do."""


def tree_digest(files: Mapping[str, str]) -> str:
    """Return the digest of files by path: SHA-256 of the sorted ``path, sha256`` lines.

    See docs/cli.md, section "A run and its digests".
    """
    lines = sorted(f"{path}, {digest.removeprefix(PREFIX)}\n" for path, digest in files.items())
    return sha256_bytes("".join(lines).encode("utf-8"))


def kind_of(release: Release) -> ReleaseKind:
    """Return how a release is served, told by what there is."""
    if release.component == "stack":
        return "stack"
    if release.hosted is not None:
        return "hosted"
    if release.artifact is not None and release.artifact.reference is not None:
        return "reference"
    return "files"


def contradictions(release: Release) -> Iterator[Wrong]:
    """Yield what is wrong with a release whose every part is right."""
    kind = kind_of(release)
    if release.kind is not None and release.kind != kind:
        yield ("kind",), f'says "{release.kind}", and the release is "{kind}"', "leave it out"
    legacy = release.attested == "legacy"
    if not release.owner and not legacy:
        yield ("owner",), 'the key "owner" is missing or empty', "who answers for this release?"
    if not release.licence and not legacy and kind != "stack":
        yield ("licence",), 'the key "licence" is missing or empty', "for example Apache-2.0"
    if release.attested == "gate" and release.decision is None:
        yield ("attested",), '"attested": says gate, and there is no decision', "name its digest"
    yield from _wrong_parts(release, kind)
    if release.model in release.requires:
        yield ("requires", release.model), f'"requires": names {release.model} itself', None
    for model, text in release.requires.items():
        try:
            VersionRange.parse(text)
        except ValueError as error:
            yield ("requires", model), f'"requires.{model}": {error}', "for example >=1.2,<2"
    for i, name in enumerate(release.worse_slices):
        try:
            normal_slice(name)
        except ValueError as error:
            yield ("worse_slices", i), f'the slice "{shown(name)}" {error.args[0]}', None


def _wrong_parts(release: Release, kind: ReleaseKind) -> Iterator[Wrong]:
    if kind == "stack":
        if not release.pins:
            yield ("pins",), "a stack pins one version of every component", 'pins: {"asr": "1.0"}'
        for key in ("artifact", "hosted"):
            if getattr(release, key) is not None:
                yield (key,), f'a stack has no "{key}": its components have theirs', None
        return
    if release.pins:
        yield ("pins",), "only a stack pins versions", "use requires with a range of versions"
    if release.artifact is not None and release.hosted is not None:
        yield ("hosted",), "a hosted model has no artifact", "keep one of the two"
    elif release.artifact is None and release.hosted is None:
        if release.attested == "legacy" and release.origin is not None:
            return  # imported without its files: it never verifies, and is no target
        yield ("artifact",), 'the key "artifact" (or "hosted") is missing', _HINT
    elif release.artifact is not None:
        yield from _wrong_artifact(release.artifact)


def _wrong_artifact(artifact: Artifact) -> Iterator[Wrong]:
    for path in artifact.files:
        if not _plain(path):
            message = f'the path "{shown(path)}" leaves its folder or is not plain'
            yield ("artifact", "files", path), message, None
    if artifact.root is not None and artifact.root != "." and not _plain(artifact.root):
        message = f'the folder "{shown(artifact.root)}" leaves the workspace or is not plain'
        yield ("artifact", "root"), message, None
    if artifact.reference is not None:
        if artifact.files:
            yield ("artifact", "files"), "a reference has no files", "keep one of the two"
        yield from _wrong_reference(artifact.reference, artifact.digest)
        return
    if not artifact.files or artifact.root is None:
        hint = "register fills in the files of a root"
        yield ("artifact",), "an artifact needs root and files, or a reference", hint
        return
    digest = next(iter(artifact.files.values())) if len(artifact.files) == 1 else None
    if artifact.digest not in (digest, tree_digest(artifact.files)):
        message = '"artifact.digest" is not that of the files'
        yield ("artifact", "digest"), message, f"it is {tree_digest(artifact.files)}"


def _wrong_reference(reference: str, digest: str) -> Iterator[Wrong]:
    path: KeyPath = ("artifact", "reference")
    if reference.startswith(("http://", "https://")):
        parts = urlsplit(reference)
        if not parts.hostname or parts.username is not None or parts.query:
            hint = "a plain address without user, password or query: they may hold a secret"
            yield path, "the address is refused", hint
        return
    name, _, pinned = reference.removeprefix("oci://").partition("@")
    if "/" not in name or not pinned:
        yield path, "an image by digest or an HTTP address was expected", "ghcr.io/a/b@sha256:…"
    elif pinned != digest:
        yield path, "names another digest than artifact.digest", "they have to be the same"


def _plain(path: str) -> bool:
    pure = PurePosixPath(path)
    inside = not pure.is_absolute() and ".." not in pure.parts and "." not in path.split("/")
    return inside and str(pure) == path and path.isprintable() and "\\" not in path


def parse_release(data: bytes, *, source: str) -> Release:
    """Return a release from JSON; raises InvalidInput for its first defect, saying how many."""
    reading = read_release(data, source=source)
    if reading.release is None:
        first, more = reading.defects[0], len(reading.defects) - 1
        count = f" (and {more} more: relkit registry validate)" if more else ""
        raise InvalidInput(f"{first}{count}", hint=first.hint or _HINT)
    return reading.release


def read_release(data: bytes, *, source: str) -> ReleaseReading:
    """Return a release from JSON, or everything that is wrong with it."""
    try:
        text = decode(data, source=source)
        document = parse_json(text, source=source)
    except Malformed as error:
        defect = Defect(source=source, line=error.line, message=error.problem, hint=error.hint)
        return ReleaseReading(release=None, defects=(defect,))
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


def release_of(document: JsonValue, *, source: str, text: str) -> ReleaseReading:
    """Return the release of a document, or all that is wrong; ``text`` tells the lines."""
    release = defects(Release, document)
    wrong = list(contradictions(release)) if isinstance(release, Release) else release
    if wrong or not isinstance(release, Release):
        lines = lines_of(text, source=source)
        return ReleaseReading(
            release=None,
            defects=tuple(
                Defect(source=source, line=line_of(path, lines), message=message, hint=hint)
                for path, message, hint in wrong
            ),
        )
    return ReleaseReading(release=sealed(release))


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
