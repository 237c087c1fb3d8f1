"""Calls of two arms with usage and success, for the tests of costs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

Call = dict[str, object]

NOW = "2026-11-20T00:00:00Z"

PRICES = """\
schema: relkit.prices/v1
currency: USD
valid: {from: 2026-11-01, to: null}
models:
  mini: {input: 1.5e-7, cache_read: 7.5e-8, output: 6.0e-7}
  large: {input: 2.5e-6, cache_read: 1.25e-6, output: 1.0e-5, tiers: [{above: 900, input: 5.0e-6}]}
  ears: {audio_minute: 0.0043}
  mouth: {character: 6.5e-5}
"""

POLICY = """\
schema: relkit.cost/v1
name: cost
slices: [language]
margin: 10%
prices: prices.yaml
"""


def call(arm: str, number: int, **columns: object) -> Call:
    """Return a call; three make a session, of which two in three succeed."""
    session = number // 3
    return {
        "ts": f"2026-11-10T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "session": f"{arm}{session}",
        "turn_id": f"{arm}-{number}",
        "ok": True,
        "outcome": "completed",
        "success": session % 3 != 0,
        "model": "mini" if session % 2 else "large",
        "provider": "p",
        "language": "ta" if session % 4 == 0 else "en",
        "input_tokens": 400 + 37 * (number % 20),
        "output_tokens": 30 + number % 7,
        "cache_read_tokens": 100,
        "audio_in_s": 4.5,
        "audio_out_s": 3.0,
        "tts_chars": 80,
        "words": 9 + number % 3,
        **columns,
    }


def calls(
    arm: str, number: int = 240, change: Callable[[int], Mapping[str, object]] = lambda _: {}
) -> list[Call]:
    """Return the calls of an arm; ``change`` gives columns of a call by its number."""
    return [call(arm, i, **change(i)) for i in range(number)]


def write_calls(path: Path, rows: list[Call]) -> Path:
    """Write calls as JSON lines, without what is None."""
    lines = (json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
