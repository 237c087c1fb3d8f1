"""Files of logs as objects with their lines: JSON lines, one JSON list, or one object."""

import json
from collections.abc import Iterator

from relkit.conversation.logs import LogLine
from relkit.core.codec import decode, parse_json
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where


def log_lines(data: bytes, *, source: str) -> Iterator[LogLine]:
    """Yield the objects of a file; raises InvalidInput naming file and line.

    The elements of a list have the line that the list begins in.
    """
    text = decode(data, source=source)
    body = text.lstrip()
    if not body:
        raise InvalidInput(f"{source}: is empty")
    first, _, rest = body.partition("\n")
    if body[0] == "{" and (not rest.strip() or _is_whole(first)):
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                document = parse_json(line, source=source, line=number)
                if not isinstance(document, dict):
                    raise InvalidInput(f"{where(source, number)}: an object was expected")
                yield number, document
        return
    begin = text[: len(text) - len(body)].count("\n") + 1
    document = parse_json(text, source=source)
    if isinstance(document, dict):
        yield begin, document
        return
    if not isinstance(document, list):
        raise InvalidInput(f"{where(source, begin)}: an object or a list of objects was expected")
    for number, element in enumerate(document, start=1):
        if not isinstance(element, dict):
            raise InvalidInput(f"{where(source, begin)}: element {number} of the list is no object")
        yield begin, element


def _is_whole(line: str) -> bool:
    """Tell whether a line is JSON by itself, so that the file is one of JSON lines."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip()[-1:] == "}" and line.strip() != "{}"
    return True
