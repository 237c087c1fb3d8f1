"""The log of a workspace's decisions: a line each, chained by digest; no file is opened here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from relkit.domain.errors import InvalidInput
from relkit.records.envelopes import Digest
from relkit.records.strict import Record, check, parse_json

_BROKEN = "it was changed by hand: put back the one of a backup"


class _LogLine(Record):
    serial: Annotated[int, Field(ge=1)]
    digest: Digest
    previous: Digest | None
    policy: str
    run: str
    verdict: str
    created: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """A line of the log: which decision was made when, and the name of the file it went to.

    ``digest`` is that of the statement (its payload), ``previous`` that of the line before.
    """

    serial: int
    digest: str
    previous: str | None
    policy: str
    run: str
    verdict: str
    created: str
    file: str


def render_line(entry: LoggedDecision) -> str:
    """Return a line of the log, without its line feed."""
    return json.dumps(asdict(entry), ensure_ascii=False)


def parse_log(lines: Sequence[str], *, source: str) -> tuple[LoggedDecision, ...]:
    """Return a log, oldest first; raises InvalidInput where it does not hang together.

    Serials count up from 1, and each line names the digest of the one before.
    """
    found: list[LoggedDecision] = []
    for number, line in enumerate(lines, start=1):
        document = parse_json(line, source=source, line=number)
        record = check(_LogLine, document, source=source, line=number)
        entry = LoggedDecision(**record.model_dump())
        before = found[-1].digest if found else None
        if (entry.serial, entry.previous) != (number, before):
            raise InvalidInput(
                f"{source} line {number}: does not follow the line before", hint=_BROKEN
            )
        found.append(entry)
    return tuple(found)
