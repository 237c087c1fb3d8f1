"""Artifacts of releases: files in the workspace, images by digest, downloads kept by digest."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from relkit.domain.errors import InvalidInput, RelkitError
from relkit.domain.releases import Artifact, Release
from relkit.records.digests import PREFIX
from relkit.records.release_checks import tree_digest
from relkit.records.yaml_text import shown


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
        if release.kind == "stack":
            return self._verify_stack(release)
        if release.hosted is not None:
            return None  # its identity is its configuration: nothing of it is here
        if release.artifact is None:
            return _unknown(release)
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
        whole = tree_digest(artifact.files)
        if artifact.digest == whole:
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


def _unknown(release: Release) -> str:
    origin = release.origin
    if origin is None:
        return "the release has no artifact"
    return (
        f"it was imported from {origin.registry} (version {origin.version}), and its files were "
        "not here to be digested: what it is cannot be verified"
    )


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
