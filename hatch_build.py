"""Checks, before anything is built, that every locked dataset has exactly the audio of its lock.

Audio under DVC is not in git. Where it is absent it is taken from the DVC remote inside the
repository; where a file is then missing or another, the build fails: a wheel without it would make
workspaces that cannot be evaluated. Runs with the standard library and hatchling alone.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OBJECTS = Path(".dvc", "bundled", "files", "md5")
"""The DVC remote inside the repository, relative to its root."""


class LockedAudio(BuildHookInterface[Any]):
    """The hook that ``[tool.hatch.build.hooks.custom]`` in ``pyproject.toml`` names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Put absent audio into place and check all of it; raises RuntimeError."""
        root = Path(self.root)
        for path in sorted(root.glob("datasets/*/lock.json")):
            audio = json.loads(path.read_bytes())["audio"]
            for out, md5 in audio["dvc"].items():
                if not (path.parent / out).exists():
                    _restore(root / OBJECTS, md5, path.parent / out)
            _check(path.parent, audio["sha256"])


def _restore(objects: Path, md5: str, target: Path) -> None:
    """Copy what a DVC hash names to ``target``; it appears whole or not at all."""
    listing = objects / md5[:2] / md5[2:]
    if not listing.is_file():
        return  # the check names the first file that is missing
    files = {"": md5}
    if md5.endswith(".dir"):
        files = {item["relpath"]: item["md5"] for item in json.loads(listing.read_bytes())}
    made = target.with_name(f".{target.name}.{os.getpid()}")
    for relative, name in files.items():
        source = objects / name[:2] / name[2:]
        if source.is_file():
            place = made / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
    made.rename(target)


def _check(folder: Path, digests: dict[str, str]) -> None:
    for relative, expected in digests.items():
        path = folder / relative
        name = f"datasets/{folder.name}/{relative}"
        if not path.is_file():
            raise RuntimeError(f"{name} is missing: run dvc pull, then build again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise RuntimeError(f"{name} is not the file of lock.json: run dvc checkout --force")
