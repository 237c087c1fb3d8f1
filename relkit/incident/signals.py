"""The signals that triage looks at by itself, and which component can cause which."""

from collections.abc import Iterable

from relkit.incident.types import Signal
from relkit.telemetry.columns import is_of_persons

ANY_COMPONENT = "*"
"""Stands for every component there is."""

STANDARD_COMPONENTS = ("asr", "llm", "tts", "retrieval")
"""Components that telemetry has columns for."""

STACK = "release"
"""The component of telemetry that names a release and no component: any signal can be its."""

_TENANTS = ("tenant", "tenant_class")
_NO_SLICES = frozenset({"release", "arm", "outcome", "currency", "error_code", "model", "provider"})

SHIPPED_SIGNALS: tuple[Signal, ...] = (
    Signal(name="failed", column="failed", components=(ANY_COMPONENT,)),
    Signal(name="reprompt", column="reprompt", components=(ANY_COMPONENT,)),
    Signal(name="not_grounded", column="grounded", bad=False, components=("retrieval", "llm")),
    Signal(name="bad_tool_args", column="tool_args_ok", bad=False, components=("llm",)),
    Signal(name="false_interrupt", column="false_interrupt", components=("asr",)),
    Signal(name="barge_in", column="interrupted", components=("asr", "llm", "tts")),
    Signal(name="partial_churn", column="churn", above=0.9, components=("asr",)),
    Signal(name="retried", column="retried", components=(ANY_COMPONENT,)),
    Signal(name="slow", column="latency_ms", above=0.95, components=(ANY_COMPONENT,)),
    Signal(name="slow_eou", column="eou_ms", above=0.95, components=("asr",)),
    Signal(name="slow_asr", column="asr_ms", above=0.95, components=("asr",)),
    Signal(name="slow_llm", column="llm_ttft_ms", above=0.95, components=("llm", "retrieval")),
    Signal(name="slow_tool", column="tool_ms", above=0.95, components=("llm", "retrieval")),
    Signal(name="slow_tts", column="tts_ttfb_ms", above=0.95, components=("tts",)),
    Signal(name="slow_network", column="network_ms", above=0.95),
    Signal(name="slow_queue", column="queue_ms", above=0.95),
    Signal(name="many_tokens", column="tokens", above=0.9, components=("llm", "retrieval")),
    Signal(name="costly", column="cost", above=0.9, components=(ANY_COMPONENT,)),
)
"""What ships; a policy adds others.

``failed``, ``interrupted``, ``churn`` (words taken back to words of finals), ``retried`` (retries,
or an attempt after the first) and ``tokens`` (input and output) are made from columns of the turn
table. What is slow has no first audio where it failed, and is slow then, too.
"""

TELEMETRY_NAMES = {"retriever": "retrieval"}
"""What the registry calls a component, to what telemetry does, where they differ."""


def can_cause(signal: Signal, component: str) -> bool:
    """Return whether a release of a component can make a signal worse."""
    return (
        ANY_COMPONENT in signal.components
        or component in signal.components
        or (component == STACK and bool(signal.components))
    )


def triage_columns(attributes: Iterable[str]) -> tuple[str, ...]:
    """Return the attributes that triage cuts by.

    No release, code or model, and none that names persons but the tenant.
    """
    return tuple(
        name
        for name in attributes
        if name not in _NO_SLICES
        and not name.startswith("release_")
        and (name in _TENANTS or not is_of_persons(name))
    )
