"""What a look at live traffic leaves behind: one record, whatever was looked at.

The gate's ``requires:`` reads it as a check; JUnit and GitHub's summary are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from relkit.core.slices import OVERALL
from relkit.core.values import REQUIRED, Named, Shape, Time

Watch = Literal["canary", "drift", "cost", "slo", "health", "capacity"]
"""The command that looked."""

GateWord = Literal["pass", "fail", "error", "no_data", "inconclusive"]
"""What a gate would make of it, in the gate's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """Something that was judged by itself: a trigger, a column, a window, a stage.

    ``advisory`` checks are shown and do not count.
    """

    name: str
    slice: str = OVERALL
    verdict: GateWord
    reason: str
    advisory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFinding:
    """The record of one look: ``verdict`` in the command's own word, with the reason.

    ``policy`` is the policy by name and digest. ``report`` is the document that ``--json`` prints.
    ``subject`` is the release it is about, where it is about one.
    """

    FILE: ClassVar = Shape(required=True)

    schema: Literal["relkit.finding/v1"] = field(default="relkit.finding/v1", metadata=REQUIRED)
    kind: Watch
    policy: Named
    enforcement: Literal["enforce", "shadow"]
    verdict: str
    gate_verdict: GateWord
    reason: str
    created: Time
    subject: str | None
    checks: tuple[LiveCheck, ...]
    report: Mapping[str, object]
