"""Checks, before anything is built, that every locked dataset has exactly the audio of its lock.

Audio under DVC is not in git. Where it is absent it is taken from the DVC remote inside the
repository; where a file is then missing or another, the build fails: a wheel without it would make
workspaces that cannot be evaluated. It also writes into the metadata which commit of which
repository is built. Runs with the standard library and hatchling alone.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

OBJECTS = Path(".dvc", "bundled", "files", "md5")
"""The DVC remote inside the repository, relative to its root."""


REMOTE = re.compile(
    r"(?:https://(?:[^@/]+@)?|(?:ssh://)?git@)([\w.-]+\.\w+)[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
"""A repository that others reach: host, and owner with name; a token before the host is no part."""


class Source(MetadataHookInterface):
    """The hook that ``[tool.hatch.metadata.hooks.custom]`` in ``pyproject.toml`` names."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Name the commit this is built from; nothing where no remote of git says where it lies."""
        address = source(Path(self.root))
        metadata["urls"] = {"Source": address} if address else {}


def source(root: Path) -> str:
    """Return the address of the commit in ``root``; empty where it has no remote, or no git."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603  # an argument list, no shell
                ["git", "-C", str(root), *arguments],  # noqa: S607  # the git of the builder
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            return ""
        return done.stdout.strip()

    remote = REMOTE.fullmatch(git("remote", "get-url", "origin"))
    # An unpacked archive inside another repository is not that repository's.
    if remote is None or Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
        return ""
    return f"https://{remote[1]}/{remote[2]}/tree/{git('rev-parse', 'HEAD')}"


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
