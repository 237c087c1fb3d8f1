"""The turn table: one row per turn, whatever it was read from (docs/telemetry.md)."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["time", "key", "text", "flag", "ms", "s", "number", "count"]
"""What a column holds: a time, a key that becomes a hash, text, true or false, a quantity."""

STAGES = ("eou_ms", "asr_ms", "llm_ttft_ms", "tool_ms", "tts_ttfb_ms", "network_ms")
"""Stages of a turn in their order, in milliseconds; the rest of ``latency_ms`` is unexplained."""

COLUMNS: Mapping[str, Kind] = {
    "ts": "time",
    "session": "key",
    "turn_id": "key",
    "unit": "key",
    "arm": "text",
    "release": "text",
    "ok": "flag",
    "outcome": "text",
    "success": "flag",
    "latency_ms": "ms",
    **dict.fromkeys(STAGES, "ms"),
    "queue_ms": "ms",
    "retries": "count",
    "concurrency": "count",
    "tenant_class": "text",
    "partial_changes": "count",
    "partial_words": "count",
    "model": "text",
    "provider": "text",
    "input_tokens": "count",
    "output_tokens": "count",
    "cache_read_tokens": "count",
    "cache_write_tokens": "count",
    "reasoning_tokens": "count",
    "input_audio_tokens": "count",
    "output_audio_tokens": "count",
    "audio_in_s": "s",
    "audio_out_s": "s",
    "tts_chars": "count",
    "cost": "number",
    "currency": "text",
}
"""The columns that mean something to relkit, in the order in which they are written.

``ts`` is the end of the turn in UTC. ``session`` and ``turn_id`` are required; ``unit`` is what
traffic was assigned by, the session where there is none. ``arm`` is ``control`` or ``canary``.
``outcome`` is ``completed``, ``failed``, ``interrupted`` or ``abandoned``. Usage is inclusive:
cached, written and audio tokens are inside input, reasoning inside output. Any other column of text
is a slice attribute, any other of true and false an event.
"""

OUTCOMES = ("completed", "failed", "interrupted", "abandoned")
"""What comes of a turn; ``interrupted``: the user spoke over it, ``abandoned``: the user left."""
