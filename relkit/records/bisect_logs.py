"""The log of a search by a command: a line for what is searched, then one for each answer."""

from collections.abc import Sequence

from relkit.domain.bisections import Answer, LogHead
from relkit.domain.errors import InvalidInput
from relkit.records.codec import parse
from relkit.records.strict import parse_json
from relkit.records.yaml_text import where


def parse_log(lines: Sequence[str], *, head: LogHead, source: str) -> tuple[Answer, ...]:
    """Return the answers of a log that begins with ``head``.

    Raises InvalidInput for lines that are none and for the log of another search.
    """
    answers = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        if number > 1:
            answers.append(parse(Answer, document, source=source, line=number))
        elif parse(LogHead, document, source=source, line=1) != head:
            raise InvalidInput(
                f"{where(source, 1)}: the log of another search (model, command or --on-timeout)",
                hint="give another file with --log, or remove this one",
            )
    return tuple(answers)
