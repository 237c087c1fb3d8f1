"""``dataset.yaml``, ``manifest.jsonl``, ``lock.json`` and ``*.dvc`` files; none is opened here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, cast

from relkit.core import yaml_text
from relkit.core.codec import encode, parse, parse_json, parse_yaml
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.values import Id, Limits, Shape
from relkit.core.yaml_text import shown, where
from relkit.datasets.selection import RESERVED, default_id
from relkit.datasets.types import (
    Acoustics,
    AgentCase,
    AudioSpan,
    Consent,
    DatasetLock,
    DatasetSettings,
    Entity,
    ExpectedOutcome,
    Inside,
    LockedAudio,
    Md5,
    ScriptEntry,
    Text,
    Utterance,
)

_NOT_IN_COLUMN = frozenset("&=*%")
Seconds = Annotated[float, Limits(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """One line of a manifest; further scalar columns are slice attributes."""

    FILE: ClassVar = Shape(open=True)

    audio_filepath: Text | None = None
    offset: Seconds | None = None
    duration: Seconds | None = None
    text: str | None = None
    id: Id | None = None
    consent: Consent = Consent.UNKNOWN
    entities: tuple[Entity, ...] = ()
    case: AgentCase | None = None
    script: tuple[ScriptEntry, ...] = ()
    expect: ExpectedOutcome | None = None
    acoustics: Acoustics | None = None


_KEYS = frozenset(item.name for item in fields(ManifestRow))


def parse_dataset(text: str, *, source: str) -> DatasetSettings:
    """Return ``dataset.yaml``; raises InvalidInput, also for edges out of order."""
    settings = parse_yaml(text, DatasetSettings, source=source)
    for i, bins in enumerate(settings.bins):
        if bins.name in RESERVED:
            _, lines = yaml_text.load(text, source=source)
            raise InvalidInput(
                f'{where(source, lines["bins", i, "name"])}: "bins.{i}.name": the name '
                f'"{bins.name}" is taken: results use it'
            )
    return settings


def parse_manifest(text: str, *, source: str) -> tuple[Utterance, ...]:
    """Return the utterances of a manifest in file order; raises InvalidInput with the line.

    Duplicate ids are refused; blank lines are passed over.
    """
    utterances = tuple(
        _utterance(line, source, number)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    )
    refuse_duplicates(utterances, source=source)
    return utterances


def refuse_duplicates(utterances: Iterable[Utterance], *, source: str) -> None:
    """Raise InvalidInput with both lines where two utterances have the same id."""
    lines: dict[str, int] = {}
    for utterance in utterances:
        if utterance.id in lines:
            raise InvalidInput(
                f'{where(source, utterance.line)}: the id "{shown(utterance.id)}" stands already '
                f"in line {lines[utterance.id]}",
                hint="give every utterance an id of its own",
            )
        lines[utterance.id] = utterance.line


def _utterance(line: str, source: str, number: int) -> Utterance:
    document = parse_json(line, source=source, line=number)
    row = parse(ManifestRow, document, source=source, line=number)
    if row.script:
        path, text, name = "", "", row.id or ""
        _check_script(row, source, number)
    else:
        path, text = row.audio_filepath or "", row.text or ""
        for key, value in (("audio_filepath", row.audio_filepath), ("text", row.text)):
            if value is None:
                raise InvalidInput(
                    f'{where(source, number)}: the key "{key}" is missing',
                    hint='a line has audio and its text, or the "script" of a conversation',
                )
        name = row.id or default_id(path, row.offset)
    return Utterance(
        id=name,
        audio=AudioSpan(path=path, offset_s=row.offset, length_s=row.duration),
        reference=text,
        attributes=_with_channel(
            _attributes(cast("Mapping[str, JsonValue]", document), source, number), row.case
        ),
        entities=row.entities,
        consent=row.consent,
        case=row.case,
        script=row.script,
        expect=row.expect,
        acoustics=row.acoustics,
        line=number,
    )


def _check_script(row: ManifestRow, source: str, line: int) -> None:
    """Refuse a conversation that cannot be held as it is written; raises InvalidInput."""
    at = where(source, line)
    if row.id is None:
        raise InvalidInput(f'{at}: the key "id" is missing', hint="name the conversation")
    if row.audio_filepath is not None or row.offset is not None:
        raise InvalidInput(
            f'{at}: a conversation has no "audio_filepath" of its own',
            hint="name the clips in its script",
        )
    earlier: list[str] = []
    for entry in row.script:
        if entry.turn in earlier:
            raise InvalidInput(
                f'{at}: two entries of the script are called "{shown(entry.turn)}"',
                hint="give every entry a name of its own",
            )
        if entry.when.turn is not None and entry.when.turn not in earlier:
            raise InvalidInput(
                f'{at}: "{shown(entry.turn)}" waits for "{shown(entry.when.turn)}", which does '
                "not come before it",
                hint="name an earlier entry of the script",
            )
        earlier.append(entry.turn)
    sound = row.acoustics
    if sound is not None and (sound.noise is None) != (sound.snr_db is None):
        raise InvalidInput(
            f'{at}: "acoustics": "noise" and "snr_db" need each other',
            hint="name a noise clip and how far it lies below the speech",
        )


def _with_channel(attributes: dict[str, str], case: AgentCase | None) -> dict[str, str]:
    """Return the columns with the channel of an attack, where the manifest has no such column."""
    if case is None or case.attack is None or "channel" in attributes:
        return attributes
    return {**attributes, "channel": case.attack.channel}


def _attributes(row: Mapping[str, JsonValue], source: str, line: int) -> dict[str, str]:
    """Return further columns as strings; numbers as JSON writes them, nulls as missing."""
    attributes: dict[str, str] = {}
    for name, value in row.items():
        if value is None or name in _KEYS:
            continue
        if name in RESERVED:
            raise InvalidInput(
                f'{where(source, line)}: the column "{name}" has a name that results use',
                hint="rename the column",
            )
        if not name or _NOT_IN_COLUMN.intersection(name):
            raise InvalidInput(
                f'{where(source, line)}: the column "{shown(name)}" cannot be named in a slice',
                hint="rename it without & = * %",
            )
        if isinstance(value, str):
            attributes[name] = value
        elif isinstance(value, int | float):
            attributes[name] = json.dumps(value)
        else:
            raise InvalidInput(
                f'{where(source, line)}: the column "{shown(name)}" is a list or an object',
                hint="slice columns are strings or numbers",
            )
    return attributes


DIRECTORY = ".dir"
"""How the DVC hash of a folder ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One file of a folder under DVC."""

    md5: Annotated[str, Limits(pattern=r"^[0-9a-f]{32}$")]
    relpath: Inside


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    files: tuple[_Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What DVC holds of one path: its hash, and the remote of its own where it has one."""

    md5: Md5
    remote: str | None = None


def parse_lock(text: str, *, source: str) -> DatasetLock:
    """Return a dataset's lock; raises InvalidInput, also for a path that leaves the dataset."""
    lock = parse(DatasetLock, parse_json(text, source=source), source=source)
    for path in (*lock.audio.dvc, *lock.audio.sha256, *lock.audio.speech):
        _refuse_outside(path, source)
    return lock


def render_lock(lock: DatasetLock) -> str:
    """Return ``lock.json`` as text, the same for the same lock wherever it is written."""
    audio = LockedAudio(
        dvc=dict(sorted(lock.audio.dvc.items())),
        sha256=dict(sorted(lock.audio.sha256.items())),
        speech=dict(sorted(lock.audio.speech.items())),
    )
    document = encode(replace(lock, slices=dict(sorted(lock.slices.items())), audio=audio))
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def parse_pointer(text: str, *, source: str) -> Pointer:
    """Return what a ``*.dvc`` file of one path names; raises InvalidInput.

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
    shaped = {key: first[key] for key in ("md5", "remote") if key in first}
    return parse(Pointer, shaped, source=source)


def parse_listing(text: str, *, source: str) -> dict[str, str]:
    """Return the files of a folder under DVC, path inside it to MD5; raises InvalidInput."""
    files = parse_json(text, source=source)
    listing = parse(_Listing, {"files": files}, source=source)
    for item in listing.files:
        _refuse_outside(item.relpath, source)
    return {item.relpath: item.md5 for item in listing.files}


def _refuse_outside(path: str, source: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path or str(pure) != path:
        raise InvalidInput(f'{source}: the path "{shown(path)}" leaves its folder or is not plain')
