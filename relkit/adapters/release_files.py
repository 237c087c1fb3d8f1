"""Releases as files: ``registry/releases/<model>/<version>/release.json`` and its evidence."""

import re
from collections.abc import Iterator
from pathlib import Path

from relkit import storage
from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.releases import MODEL_NAME, VERSION_NAME, Release
from relkit.records.defects import Defect
from relkit.records.releases import ReadRelease, parse_release, read_release, render_release
from relkit.records.strict import nearest
from relkit.records.yaml_text import shown

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
        path = self._path(model, version)
        if not path.is_file():
            raise self._unknown(model, version)
        source = self.source(model, version)
        release = parse_release(storage.read_bytes(path, what=source), source=source)
        if misplaced := _misplaced(release, model, version, source):
            raise InvalidInput(str(misplaced), hint=misplaced.hint)
        return release

    def text(self, model: str, version: str) -> str:
        """Return the text of a release's file, for saying in which line something stands."""
        path = self._path(model, version)
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def examine(self, model: str, version: str) -> ReadRelease:
        """Return a release, or all that is wrong with its file; raises nothing."""
        path, source = self._path(model, version), self.source(model, version)
        if not path.is_file():
            defect = Defect(source=source, line=None, message=f"there is no {NAME}")
            return ReadRelease(release=None, defects=(defect,))
        try:
            found = read_release(storage.read_bytes(path, what=source), source=source)
        except InvalidInput as error:
            defect = Defect(source=source, line=None, message=error.message, hint=error.hint)
            return ReadRelease(release=None, defects=(defect,))
        if found.release and (wrong := _misplaced(found.release, model, version, source)):
            return ReadRelease(release=None, defects=(wrong,))
        return found

    def write(self, release: Release) -> None:
        """Write a release; the same one again changes nothing.

        Raises InvalidInput where the version is there with another digest, StorageFailed.
        """
        path = self._path(release.model, release.version)
        if path.exists():
            there = self.read(release.model, release.version)
            if there.digest != release.digest:
                raise InvalidInput(
                    f"{self.source(release.model, release.version)} is there with another digest: "
                    f"{_differing(there, release)}",
                    hint="give it a new version: what was registered stays as it is",
                )
            return
        storage.write_text(path, render_release(release))

    def keep(self, model: str, version: str, name: str, data: bytes) -> None:
        """Keep evidence (a report, a decision) beside a release; raises StorageFailed."""
        path = self._path(model, version).with_name(name)
        if not path.exists() or path.read_bytes() != data:
            storage.write_bytes(path, data)

    def evidence(self, model: str, version: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of the evidence that lies beside a release, by name."""
        folder = self._path(model, version).parent
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            if path.name != NAME and not path.name.startswith(".") and path.is_file():
                yield path.name, storage.read_bytes(path, what=path.name)

    def source(self, model: str, version: str) -> str:
        """Return how messages call a release's file."""
        return f"releases/{model}/{version}/{NAME}"

    def _path(self, model: str, version: str) -> Path:
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


def _differing(one: Release, other: Release) -> str:
    """Return which fields of two releases differ."""
    names = [name for name in one.__dataclass_fields__ if name != "digest"]
    return ", ".join(name for name in names if getattr(one, name) != getattr(other, name))
