"""``tools.yaml``: the tools of an agent, with the line of everything in it."""

from dataclasses import dataclass

from relkit.core import yaml_text
from relkit.core.codec import Lines, encode, line_of, parse
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import KeyPath, shown, where
from relkit.safety.types import ToolTable

_SCHEMA = "relkit.tools/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFile:
    """A table of tools as it stands in its file, which messages call ``source``."""

    table: ToolTable
    source: str
    lines: Lines

    @property
    def digest(self) -> str:
        """SHA-256 of what the table says: comments, order and the file's name are no part of it."""
        return digest_of(encode(self.table))

    def refused(self, path: KeyPath, problem: str, hint: str) -> InvalidInput:
        """Return the error for what is wrong below a key, with the file and the line."""
        return InvalidInput(
            f"{where(self.source, line_of(path, self.lines))}: {problem}", hint=hint
        )


def parse_tools(text: str, *, source: str) -> ToolFile:
    """Return a table of tools; raises InvalidInput, also for a filter that no schema knows."""
    document, lines = yaml_text.load(text, source=source)
    if document is None:
        raise InvalidInput(f"{source}: is empty", hint=f'begin it with "schema: {_SCHEMA}"')
    table = parse(ToolTable, document, source=source, lines=lines)
    file = ToolFile(table=table, source=source, lines=lines)
    for name, tool in table.tools.items():
        properties = tool.arguments.get("properties")
        closed = tool.arguments.get("additionalProperties") is False
        for i, column in enumerate(tool.filters):
            if closed and isinstance(properties, dict) and column not in properties:
                raise file.refused(
                    ("tools", name, "filters", i),
                    f'the filter "{shown(column)}" is no argument of {name}',
                    "arguments: " + ", ".join(map(shown, properties)),
                )
    return file
