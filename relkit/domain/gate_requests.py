"""What a gate is asked: which runs, by part of a launch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

WHOLE = ""
"""The name of the one part of a policy that has no parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """Runs by part (:data:`WHOLE` for a policy without parts): an id, a unique prefix, a folder."""

    candidates: Mapping[str, str]
    baselines: Mapping[str, str] = field(default_factory=dict)
    anchors: Mapping[str, str] = field(default_factory=dict)
