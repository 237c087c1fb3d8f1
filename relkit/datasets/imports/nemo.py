"""NeMo manifests: one JSON object a line with ``audio_filepath``, ``duration`` and ``text``.

The keys are those of ``nemo.collections.common.parts.preprocessing.manifest``: ``audio_filename``
stands for ``audio_filepath``, and a relative path is looked for beside the manifest.
"""

import re
from collections.abc import Sequence

from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.json_lines import row_blocks
from relkit.core.yaml_text import where
from relkit.datasets.imports.rows import (
    Columns,
    ImportedRow,
    ParsedSource,
    SourceFile,
    consent_of,
    seconds,
    with_speaker,
)

_AUDIO = ("audio_filepath", "audio_filename")


_TEXTS = ("text", "normalized_text")


_OWN = frozenset({*_AUDIO, "text", "id", "offset", "duration", "consent"})


_SHARDS = re.compile(r"_OP_\d+\.\.\d+_CL_|\.tar$", re.IGNORECASE)


def parse_nemo(files: Sequence[SourceFile]) -> ParsedSource:
    """Return the rows of manifests; raises InvalidInput with file and line.

    Manifests of tarred datasets are refused: their audio lies inside archives.
    """
    columns = Columns()
    rows = [
        _row(row, number, file, columns)
        for file in files
        for block, numbers in row_blocks(file.text, source=file.name)
        for row, number in zip(block, numbers, strict=True)
    ]
    return ParsedSource(rows=tuple(rows), renamed=columns.renamed, dropped=columns.dropped)


def _row(row: dict[str, JsonValue], line: int, file: SourceFile, columns: Columns) -> ImportedRow:
    at = where(file.name, line)
    audio = _audio(row, at)
    if "shard_id" in row or _SHARDS.search(audio):
        raise InvalidInput(
            f"{at}: this is the manifest of a tarred dataset",
            hint="unpack the tar files and import the manifest they were made from",
        )
    reference = next((row[key] for key in _TEXTS if row.get(key) is not None), None)
    if not isinstance(reference, str):
        raise InvalidInput(
            f'{at}: "text" is missing or no string',
            hint='write the reference, and "" for a clip without speech',
        )
    length = seconds(row.get("duration"), "duration", source=file.name, line=line)
    rest = {name: value for name, value in row.items() if name not in _OWN}
    return ImportedRow(
        audio=audio,
        folder=file.folder,
        reference=reference,
        file=file.name,
        line=line,
        id=_name(row, at),
        offset_s=seconds(row.get("offset"), "offset", source=file.name, line=line),
        length_s=length,
        attributes=columns.attributes(with_speaker(rest), source=file.name, line=line),
        consent=consent_of(row.get("consent"), source=file.name, line=line),
    )


def _audio(row: dict[str, JsonValue], at: str) -> str:
    value = next((row[key] for key in _AUDIO if row.get(key)), None)
    if isinstance(value, list):
        raise InvalidInput(
            f'{at}: "audio_filepath" is a list of channels',
            hint="import one channel: write one path a line",
        )
    if not isinstance(value, str):
        raise InvalidInput(
            f'{at}: "audio_filepath" is missing or no string', hint="name the audio file"
        )
    return value


def _name(row: dict[str, JsonValue], at: str) -> str | None:
    value = row.get("id")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(f'{at}: "id" is neither a string nor a whole number')
    return str(value)
