"""Releases as files, ``registry/releases/<model>/<version>/release.json``, and their artifacts.

Evidence lies beside a release. Artifacts are files in the workspace, images by digest, and
downloads kept by digest.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from relkit.core import storage
from relkit.core.codec import Defect, nearest
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput, RelkitError, UsageError
from relkit.core.yaml_text import shown
from relkit.registry.release_files import (
    parse_release,
    read_release,
    render_release,
    tree_digest,
)
from relkit.registry.types import MODEL_NAME, VERSION_NAME, Artifact, Release, ReleaseReading

NAME = "release.json"
_DIGITS = re.compile(r"(\d+)")


class ReleaseFiles:
    """Implements ``ReleaseStore``."""

    def __init__(self, folder: Path) -> None:
        """Keep releases in ``folder``, which is made when the first one is written."""
        self._folder = folder

    def models(self) -> tuple[str, ...]:
        """Return the models that have releases, sorted."""
        names = sorted(path.name for path in _folders(self._folder))
        return tuple(name for name in names if any(self._versions(name)))

    def versions(self, model: str) -> tuple[str, ...]:
        """Return a model's versions, 1.9 before 1.10; none for an unknown model."""
        return tuple(sorted(self._versions(model), key=_natural))

    def _versions(self, model: str) -> Iterator[str]:
        if re.fullmatch(MODEL_NAME, model):
            for path in _folders(self._folder / model):
                if (path / NAME).is_file():
                    yield path.name

    def read(self, model: str, version: str) -> Release:
        """Return a release; raises UsageError for an unknown one, InvalidInput for a bad file."""
        path = self.path(model, version)
        if not path.is_file():
            raise self._unknown(model, version)
        source = self.source(model, version)
        release = parse_release(storage.read_bytes(path, what=source), source=source)
        if misplaced := _misplaced(release, model, version, source):
            raise InvalidInput(str(misplaced), hint=misplaced.hint)
        return release

    def text(self, model: str, version: str) -> str:
        """Return the text of a release's file, for saying in which line something stands."""
        path = self.path(model, version)
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def examine(self, model: str, version: str) -> ReleaseReading:
        """Return a release, or all that is wrong with its file; raises nothing."""
        path, source = self.path(model, version), self.source(model, version)
        if not path.is_file():
            defect = Defect(source=source, line=None, message=f"there is no {NAME}")
            return ReleaseReading(release=None, defects=(defect,))
        try:
            reading = read_release(storage.read_bytes(path, what=source), source=source)
        except InvalidInput as error:
            defect = Defect(source=source, line=None, message=error.message, hint=error.hint)
            return ReleaseReading(release=None, defects=(defect,))
        if reading.release and (wrong := _misplaced(reading.release, model, version, source)):
            return ReleaseReading(release=None, defects=(wrong,))
        return reading

    def write(self, release: Release) -> None:
        """Write a release; the same one again changes nothing.

        Raises InvalidInput where the version is there with another digest, StorageFailed.
        """
        path = self.path(release.model, release.version)
        if path.exists():
            existing = self.read(release.model, release.version)
            if existing.digest != release.digest:
                names = (name for name in existing.__dataclass_fields__ if name != "digest")
                differing = [n for n in names if getattr(existing, n) != getattr(release, n)]
                raise InvalidInput(
                    f"{self.source(release.model, release.version)} is there with another digest: "
                    f"{', '.join(differing)}",
                    hint="give it a new version: what was registered stays as it is",
                )
            return
        storage.write_text(path, render_release(release))

    def keep(self, model: str, version: str, name: str, data: bytes) -> None:
        """Keep evidence (a report, a decision) beside a release; raises StorageFailed."""
        path = self.path(model, version).with_name(name)
        if not path.exists() or path.read_bytes() != data:
            storage.write_bytes(path, data)

    def evidence(self, model: str, version: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the evidence that lies beside a release, by name."""
        folder = self.path(model, version).parent
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            if path.name != NAME and not path.name.startswith(".") and path.is_file():
                yield path.name, storage.read_bytes(path, what=path.name)

    def beside(self, model: str, version: str, name: str) -> bytes | None:
        """Return a file that people put beside a release, None where there is none.

        Raises InvalidInput for what is no file, or leads out of the folder of the release.
        """
        path, what = self.path(model, version).with_name(name), f"{model}/{version}/{name}"
        if not path.is_symlink() and not path.exists():
            return None
        if not path.is_file() or path.resolve().parent != path.parent.resolve():
            raise InvalidInput(
                f"{what}: is no file beside the release", hint="put the file itself there"
            )
        return storage.read_bytes(path, what=what)

    def source(self, model: str, version: str) -> str:
        """Return how messages call a release's file."""
        return f"releases/{model}/{version}/{NAME}"

    def path(self, model: str, version: str) -> Path:
        """Return where a release's file is."""
        if not re.fullmatch(MODEL_NAME, model):
            raise self._unknown(model, version)
        if not re.fullmatch(VERSION_NAME, version):
            raise UsageError(f'"{shown(version)}" is no version', hint="for example 1.2.0")
        return self._folder / model / version / NAME

    def _unknown(self, model: str, version: str) -> UsageError:
        models = self.models()
        if model not in models:
            return UsageError(
                f'no model "{shown(model)}" in the registry',
                hint=nearest(model, models) or "relkit registry register RELEASE",
            )
        return UsageError(
            f'{model} has no release "{shown(version)}"',
            hint=nearest(version, self.versions(model)),
        )


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _natural(version: str) -> list[tuple[int, int, str]]:
    parts = _DIGITS.split(version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def _misplaced(release: Release, model: str, version: str, source: str) -> Defect | None:
    if (release.model, release.version) == (model, version):
        return None
    return Defect(
        source=source,
        line=None,
        message=f"calls itself {release.model} {release.version}",
        hint="the folders are named after model and version",
    )


class ArtifactFiles:
    """Implements ``ArtifactStore``: digests are computed from the bytes every time.

    Without a network: the bytes behind an HTTP address are those of a copy named by its digest
    below ``downloads``; an image is named by its digest, which every client of a registry checks
    when it pulls it.
    """

    def __init__(
        self, workspace: Path, downloads: Path, read: Callable[[str, str], Release]
    ) -> None:
        """Look for files below ``workspace``; ``read`` gives the releases that a stack pins."""
        self._workspace = workspace
        self._downloads = downloads
        self._read = read

    def verify(self, release: Release) -> str | None:
        """Return None where what is served has its digest now, else why not."""
        if release.kind == "stack" or release.hosted is not None:
            # A vendor's model is its configuration: nothing of it is here.
            return self._verify_stack(release) if release.kind == "stack" else None
        if release.artifact is None:
            if release.origin is None:
                return "the release has no artifact"
            registry, version = release.origin.registry, release.origin.version
            return (
                f"it was imported from {registry} (version {version}), and its files were not here "
                "to be digested: what it is cannot be verified"
            )
        try:
            if release.artifact.reference is not None:
                return self._verify_reference(release.artifact.reference, release.artifact.digest)
            return self._verify_files(release.artifact)
        except OSError as error:
            return f"the artifact cannot be read: {error.strerror or 'unknown error'}"

    def absent(self, release: Release) -> bool:
        """Return whether the only thing amiss is that what is served is not on this machine."""
        if release.artifact is None and release.hosted is None and release.kind != "stack":
            return release.origin is not None
        reference = None if release.artifact is None else release.artifact.reference
        return (
            reference is not None
            and _is_http(reference)
            and release.artifact is not None
            and not self._download(release.artifact.digest).exists()
        )

    def located(self, address: str) -> str | None:
        """Return the path in the workspace that an address leads to, None if not into it.

        A relative path starts at the workspace.
        """
        if not address:
            return None
        parts = urlsplit(address)
        if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
            return None
        base = self._workspace.resolve()
        path = (base / unquote(parts.path)).resolve()
        if path == base or not path.is_relative_to(base) or not path.exists():
            return None
        return path.relative_to(base).as_posix()

    def listing(self, root: str) -> tuple[str, dict[str, str], str]:
        """Return (folder, files by path, digest) of a folder or one file of the workspace.

        Hidden files and byte code are no part of an artifact, as in a run. Raises InvalidInput.
        """
        path = self._inside(root)
        try:
            if path.is_file():
                digest = _sha256(path)
                folder = path.parent.relative_to(self._workspace.resolve()).as_posix()
                return folder, {path.name: digest}, digest
            files = {name: _sha256(path / name) for name in sorted(_names(path))}
        except OSError as error:
            raise InvalidInput(f"the artifact cannot be read: {error.strerror}") from error
        if not files:
            raise InvalidInput(
                f'the artifact "{shown(root)}" has no files',
                hint="name a folder or file relative to the workspace",
            )
        return path.relative_to(self._workspace.resolve()).as_posix(), files, tree_digest(files)

    def _inside(self, root: str) -> Path:
        base = self._workspace.resolve()
        path = (base / root).resolve()
        if not path.is_relative_to(base):
            raise InvalidInput(
                f'the artifact "{shown(root)}" lies outside the workspace',
                hint="copy or link its files into the workspace, or name an OCI or HTTP reference",
            )
        return path

    def _verify_files(self, artifact: Artifact) -> str | None:
        folder = self._workspace / (artifact.root or ".")
        for path, digest in artifact.files.items():
            if not (folder / path).is_file():
                return f"{artifact.root}/{path} is missing"
            if _sha256(folder / path) != digest:
                return f"{artifact.root}/{path} does not have its digest"
        digest_of_all = tree_digest(artifact.files)
        if artifact.digest == digest_of_all:
            more = sorted(set(_names(folder)) - set(artifact.files))
            if more:
                return f"{artifact.root}/{more[0]} is not among the release's files"
        elif [artifact.digest] != list(artifact.files.values()):
            return "the artifact's digest is not that of its files"
        return None

    def _verify_reference(self, reference: str, digest: str) -> str | None:
        if not _is_http(reference):
            return None if reference.endswith(f"@{digest}") else "the reference names no digest"
        path = self._download(digest)
        place = f".relkit/{path.relative_to(self._downloads.parents[1]).as_posix()}"
        if not path.is_file():
            return f"the bytes of {reference} are not here: curl -fLo {place} {reference}"
        return None if _sha256(path) == digest else f"{place} does not have its digest"

    def _verify_stack(self, release: Release) -> str | None:
        for model, version in release.pins.items():
            try:
                pinned = self._read(model, version)
            except RelkitError as error:
                return f"it pins {model} {version}: {error.message}"
            if (why := self.verify(pinned)) is not None:
                return f"it pins {model} {version}: {why}"
        return None

    def _download(self, digest: str) -> Path:
        return self._downloads / digest.removeprefix(PREFIX)


def _is_http(reference: str) -> bool:
    return reference.startswith(("http://", "https://"))


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            yield "/".join(parts)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
