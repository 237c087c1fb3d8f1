"""``lock.json`` and DVC's ``*.dvc`` files to domain types and back; no file is opened here."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from relkit.domain.dataset_versions import DatasetLock
from relkit.domain.errors import InvalidInput
from relkit.records import yaml_text
from relkit.records.digests import JsonValue
from relkit.records.strict import Record, check, parse_json
from relkit.records.yaml_text import shown

SCHEMA: Literal["relkit.dataset-lock/v1"] = "relkit.dataset-lock/v1"
DIRECTORY = ".dir"
"""How the DVC hash of a folder ends."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
Inside = Annotated[str, Field(min_length=1, max_length=4096)]


class AudioRecord(Record):
    """The audio of a version: what DVC calls it, and the digest of every file."""

    dvc: dict[Inside, Md5]
    sha256: dict[Inside, Sha256]


class LockRecord(Record):
    """The whole of ``lock.json``."""

    schema_: Literal["relkit.dataset-lock/v1"] = Field(alias="schema")
    name: Annotated[str, Field(min_length=1)]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    utterances: Annotated[int, Field(ge=1)]
    slices: dict[str, list[str]]
    audio: AudioRecord


class _Listed(Record):
    """One file of a folder under DVC."""

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    relpath: Inside


class _Listing(Record):
    files: list[_Listed]


def parse_lock(text: str, *, source: str) -> DatasetLock:
    """Return a dataset's lock; raises InvalidInput, also for a path that leaves the dataset."""
    record = check(LockRecord, parse_json(text, source=source), source=source)
    for path in (*record.audio.dvc, *record.audio.sha256):
        _refuse_outside(path, source)
    return DatasetLock(
        name=record.name,
        digest=record.digest,
        utterances=record.utterances,
        registered={column: tuple(values) for column, values in record.slices.items()},
        outs=record.audio.dvc,
        audio=record.audio.sha256,
    )


def render_lock(lock: DatasetLock) -> str:
    """Return ``lock.json`` as text, the same for the same lock wherever it is written."""
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "name": lock.name,
        "digest": lock.digest,
        "utterances": lock.utterances,
        "slices": {column: list(values) for column, values in sorted(lock.registered.items())},
        "audio": {
            "dvc": dict(sorted(lock.outs.items())),
            "sha256": dict(sorted(lock.audio.items())),
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def parse_pointer(text: str, *, source: str) -> str:
    """Return the DVC hash that a ``*.dvc`` file of one path names; raises InvalidInput.

    Files of DVC 2 name objects that lie elsewhere, and are refused.
    """
    document, _ = yaml_text.load(text, source=source)
    outs = document.get("outs") if isinstance(document, Mapping) else None
    first = outs[0] if isinstance(outs, list) and len(outs) == 1 else None
    if not isinstance(first, Mapping) or not isinstance(first.get("md5"), str):
        raise InvalidInput(
            f"{source}: is no DVC file of one path", hint="make it with: relkit dataset lock NAME"
        )
    if first.get("hash") != "md5":
        raise InvalidInput(
            f"{source}: was written by DVC 2",
            hint="run: dvc cache migrate --dvc-files, then lock the dataset again",
        )
    return check(_Pointed, {"md5": first["md5"]}, source=source).md5


class _Pointed(Record):
    md5: Md5


def parse_listing(text: str, *, source: str) -> dict[str, str]:
    """Return the files of a folder under DVC, path inside it to MD5; raises InvalidInput."""
    files = parse_json(text, source=source)
    listing = check(_Listing, {"files": files}, source=source)
    for item in listing.files:
        _refuse_outside(item.relpath, source)
    return {item.relpath: item.md5 for item in listing.files}


def _refuse_outside(path: str, source: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path or str(pure) != path:
        raise InvalidInput(f'{source}: the path "{shown(path)}" leaves its folder or is not plain')
