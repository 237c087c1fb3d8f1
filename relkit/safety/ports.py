"""The tools of an agent, ready to judge its calls by."""

from dataclasses import dataclass
from typing import Protocol

from relkit.core.values import Digest
from relkit.safety.types import ToolTable


class ArgumentSchemas(Protocol):
    """The schemas of a table's tools, compiled."""

    def accepts(self, tool: str, arguments: object) -> bool:
        """Tell whether arguments are what the schema of a tool asks for; KeyError for no tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTools:
    """A table of tools: ``digest`` is that of what it says, whatever its file is called."""

    table: ToolTable
    digest: Digest
    schemas: ArgumentSchemas
