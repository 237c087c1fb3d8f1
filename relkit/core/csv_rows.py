"""Tables as text: CSV with commas or tabs, quoted as RFC 4180, with names in the first line."""

import csv
import io
from collections.abc import Iterator

from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where

_LONGEST_FIELD = 1 << 20
_OTHERS = (";", "\t", "|", ",")


def csv_rows(text: str, *, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table by column, with the line that each begins in.

    Fields of a ``.tsv`` are separated by tabs, of anything else by commas. Raises InvalidInput for
    a column without a name or with another's, and a row with more or fewer fields than the first.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    delimiter = "\t" if source.lower().endswith(".tsv") else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    before = 0
    try:
        header = next(reader, [])
        before = reader.line_num
        _check_header(header, source, delimiter)
        for fields in reader:
            line, before = before + 1, reader.line_num
            if not fields:
                continue
            if len(fields) != len(header):
                raise InvalidInput(
                    f"{where(source, line)}: {len(fields)} fields where the first line has "
                    f"{len(header)}",
                    hint='put a field that holds a comma into quotes: "so, and so"',
                )
            yield line, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InvalidInput(
            f"{where(source, before + 1)}: not CSV: {error}",
            hint='quotes inside of a quoted field are written twice: ""',
        ) from error


def _check_header(header: list[str], source: str, delimiter: str) -> None:
    at = where(source, 1)
    if not header or not all(name.strip() for name in header):
        raise InvalidInput(f"{at}: a column has no name", hint="the first line names the columns")
    if len(set(header)) != len(header):
        raise InvalidInput(f"{at}: two columns have one name", hint="give each a name of its own")
    if len(header) == 1 and any(sign in header[0] for sign in _OTHERS):
        sign = "a tab (.tsv)" if delimiter == "\t" else "a comma (.csv)"
        raise InvalidInput(
            f"{at}: is one column", hint=f"separate fields by {sign}, as the file's ending says"
        )
