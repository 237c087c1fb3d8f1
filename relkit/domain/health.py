"""What `relkit doctor` found: each thing ok, or missing with the command that mends it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "absent"]
"""``missing`` is needed here and not there; ``absent`` is optional, and nothing here needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One thing that was looked at; ``mend`` is the command that mends it, empty where it is ok."""

    name: str
    state: State
    detail: str
    mend: str = ""
