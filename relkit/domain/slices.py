"""Slice keys: how a part of a dataset is named, in one spelling everywhere."""

from collections.abc import Iterable
from dataclasses import dataclass

OVERALL = "overall"
_ESCAPED = {"%": "%25", "&": "%26", "=": "%3D", "*": "%2A"}


def escape_value(value: str) -> str:
    """Return a slice value with ``& = * %`` percent-escaped (cli.md, Slices)."""
    return "".join(_ESCAPED.get(char, char) for char in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSpec:
    """The columns a dataset is cut by: none for ``overall``, two or more for a crossing."""

    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "SliceSpec":
        """Return the columns of ``accent`` or ``noise&channel``, sorted and without repeats."""
        if text == OVERALL:
            return cls()
        return cls(columns=tuple(sorted({part.strip() for part in text.split("&")})))

    @property
    def name(self) -> str:
        """``overall``, ``accent`` or ``channel&noise``."""
        return "&".join(self.columns) or OVERALL

    def key(self, values: Iterable[str]) -> str:
        """Return ``col=value&col2=value2`` for values in the order of ``columns``."""
        pairs = zip(self.columns, values, strict=True)
        return "&".join(f"{column}={escape_value(value)}" for column, value in pairs) or OVERALL
