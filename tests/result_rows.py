"""Random result rows with everything that can be missing, and what their sums mean, in Python."""

import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from relkit.core.metrics import QUALITY_METRICS
from relkit.core.slices import SliceSpec
from relkit.statistics.sums import CORE_COLUMNS, LATER_COLUMNS, QUALITY_COLUMNS, SUM_COLUMNS

Row = dict[str, Any]
Sums = dict[str, dict[object, dict[str, float]]]

SPECS = ("overall", "accent", 'we"ird na;me', "Hits", "accent&noise", "cluster")
VALUES = ("plain", "a&b", "x=y", "*", "50%", 'O\'Brien "q"', "", "ünï 日本", None, "(none)")
COUNTS = ("hits", "substitutions", "deletions", "insertions")
_TYPES = {
    **dict.fromkeys(CORE_COLUMNS, pa.int64()),
    **dict.fromkeys(("id", "cluster", "failure", "unusable", "load"), pa.string()),
    **dict.fromkeys(QUALITY_COLUMNS, pa.float64()),
    "quality_reason": pa.string(),
    **dict.fromkeys(("runaway", "loop", "cached"), pa.bool_()),
    **dict.fromkeys(("latency_ms", "first_byte_ms", "duration"), pa.float64()),
}


def make_rows(seed: int, size: int, *, clusters: int, repeats: int = 1) -> list[Row]:
    """Return result rows as the scorer would write them, with everything that can be missing."""
    rng = random.Random(seed)  # noqa: S311 - test data, not a secret
    rows: list[Row] = []
    for number in range(size):
        fixed = asked(number, rng, clusters=clusters)
        rows.extend(answered(dict(fixed), repeat, rng) for repeat in range(repeats))
    rng.shuffle(rows)
    return rows


def asked(number: int, rng: random.Random, *, clusters: int) -> Row:
    """Return what is known of an utterance before any system answers."""
    return {
        "id": f"u{number}",
        "accent": rng.choice(VALUES),
        "noise": rng.choice(VALUES[:3]),
        "Hits": rng.choice(["h0", None]),
        'we"ird na;me': rng.choice(["p", "q"]),
        "cluster": f"speaker {rng.randrange(clusters)}",
        "duration": rng.choice([None, 0.0, 1.5, 2.0, 7.25]),
        "entities": rng.choice([0, 0, 1, 2]),
        "keywords": rng.choice([0, 1]),
        "words": rng.choice([0, 1, 4, 9]),
    }


def answered(row: Row, repeat: int, rng: random.Random) -> Row:
    """Return the row of one answer to what was asked."""
    words = row.pop("words")
    row |= {"repeat": repeat, "attempts": 1, "cached": rng.random() < 0.5, "load": "l"}
    row |= dict.fromkeys(("failure", "unusable"))
    row["latency_ms"] = rng.choice([None, math.nan, 20.0, 20.0, 35.5, 90.0, rng.random() * 100])
    row["first_byte_ms"] = rng.choice([None, 5.0, rng.random() * 9])
    row |= {name: rng.choice([None, 1.0 + 4.0 * rng.random()]) for name in QUALITY_COLUMNS}
    row["quality_reason"] = None
    fate = rng.random()
    if fate < 0.1:
        row["unusable"] = "empty"
        scored = [name for name in CORE_COLUMNS[3:22] if name not in row]
        return row | dict.fromkeys((*scored, "entities", "keywords", "latency_ms"))
    if fate < 0.2:
        row["failure"] = "timeout"
    for prefix, units in (("", words), ("raw_", words), ("char_", 4 * words)):
        wrong = units if row["failure"] else rng.choice([0, 0, 1, 2])
        deleted = min(units, wrong if row["failure"] else wrong // 2)
        substituted = min(units - deleted, wrong - deleted)
        inserted = 0 if row["failure"] else rng.choice([0, 0, 0, 1, 30])
        counts = (units - deleted - substituted, substituted, deleted, inserted)
        row |= dict(zip((prefix + name for name in COUNTS), counts, strict=True))
    errors = row["substitutions"] + row["deletions"] + row["insertions"]
    row["capped_errors"] = min(errors, max(1, words))
    row["entity_errors"] = rng.randint(0, row["entities"])
    row["keyword_errors"] = rng.randint(0, row["keywords"])
    row["runaway"] = row["insertions"] > max(10, words)
    row["loop"] = bool(row["runaway"] and rng.random() < 0.5)
    return row


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Return the rows as results.parquet holds them: slice columns before the counts."""
    extra = ("accent", "noise", "Hits", 'we"ird na;me')
    names = ("id", "repeat", *extra, *CORE_COLUMNS[2:])
    return pa.table(
        {
            name: pa.array([r[name] for r in rows], _TYPES.get(name, pa.string()))
            for name in names
            if not rows or name in rows[0] or name not in LATER_COLUMNS
        }
    )


def is_number(value: float | None) -> bool:
    """Return whether a measurement is there."""
    return value is not None and math.isfinite(value)


def addends(row: Row) -> dict[str, float]:
    """Return what each sum adds up for a row."""
    found = dict.fromkeys(SUM_COLUMNS, 0.0)
    found["expected"] = 1.0
    if row["unusable"] is not None:
        return found | {"unusable": 1.0}
    h, s, d, i = (row[name] for name in COUNTS)
    raw_h, raw_s, raw_d, raw_i = (row["raw_" + name] for name in COUNTS)
    char_h, char_s, char_d, char_i = (row["char_" + name] for name in COUNTS)
    words, errors = h + s + d, s + d + i
    found |= {
        "utterances": 1,
        "failures": row["failure"] is not None,
        "hits": h,
        "substitutions": s,
        "deletions": d,
        "insertions": i,
        "errors": errors,
        "words": words,
        "hypothesis_words": h + s + i,
        "aligned": h + errors,
        "capped_errors": row["capped_errors"],
        "raw_errors": raw_s + raw_d + raw_i,
        "raw_words": raw_h + raw_s + raw_d,
        "char_errors": char_s + char_d + char_i,
        "characters": char_h + char_s + char_d,
        "with_words": words > 0,
        "with_raw_words": raw_h + raw_s + raw_d > 0,
        "with_characters": char_h + char_s + char_d > 0,
        "with_aligned": h + errors > 0,
        "wrong": errors > 0,
        "runaways": row["runaway"],
        "loops": row["loop"],
    }
    for name in ("entities", "entity_errors", "keywords", "keyword_errors"):
        found[name] = row[name]
    found |= {"with_entities": row["entities"] > 0, "with_keywords": row["keywords"] > 0}
    if words == 0 and row["failure"] is None:
        found |= {"empty_clips": 1, "hallucinated": i > 0, "hallucinated_words": i}
        found["empty_clip_s"] = row["duration"] or 0.0
    if is_number(row["latency_ms"]):
        found |= {"timed": 1, "latency_ms": row["latency_ms"]}
        if row["duration"]:
            found["paced"] = 1
            found["processing_s"] = row["latency_ms"] / 1000
            found["audio_s"] = row["duration"]
    if is_number(row["first_byte_ms"]):
        found |= {"first_byte_timed": 1, "first_byte_ms": row["first_byte_ms"]}
    for name in QUALITY_METRICS:
        if row[name] is not None:
            found |= {name: row[name], f"{name}_scored": 1}
    return found


def key_of(spec: SliceSpec, row: Row) -> str:
    """Return the slice a row lies in."""
    return spec.key("(none)" if row[c] is None else row[c] for c in spec.columns)


def reference_sums(rows: Iterable[Row], specs: Sequence[str], by: str) -> Sums:
    """Return slice to part to sums."""
    found: Sums = {}
    for row in rows:
        values = addends(row)
        for name in specs:
            parts = found.setdefault(key_of(SliceSpec.parse(name), row), {})
            sums = parts.setdefault(row[by], dict.fromkeys(SUM_COLUMNS, 0.0))
            for column, value in values.items():
                sums[column] += value
    return found
