"""Writes other margins into the text of a policy, which keeps its comments and its order."""

import re
from collections.abc import Mapping

from relkit.domain.errors import InvalidInput
from relkit.records import yaml_text
from relkit.records.yaml_text import where

_MARGIN = re.compile(r"(?<![\w-])(margin\s*:\s*)([-+.0-9eE]+)")


def with_margins(text: str, margins: Mapping[str, float], *, source: str) -> str:
    """Return the text of a policy with the ``margin`` of these rules (by id) replaced.

    Raises InvalidInput where the line of a rule's margin holds another one.
    """
    document, lines = yaml_text.load(text, source=source)
    written = text.split("\n")
    rules = document.get("rules") if isinstance(document, Mapping) else None
    for i, rule in enumerate(rules if isinstance(rules, list) else []):
        name = rule.get("id") if isinstance(rule, Mapping) else None
        at = lines.get(("rules", i, "margin"))
        if not isinstance(name, str) or name not in margins or at is None:
            continue
        line = written[at - 1]
        if len(_MARGIN.findall(line)) != 1:
            raise InvalidInput(
                f'{where(source, at)}: the margin of rule "{name}" cannot be told from another',
                hint="write one rule a line",
            )
        written[at - 1] = _MARGIN.sub(rf"\g<1>{margins[name]:g}", line)
    return "\n".join(written)
