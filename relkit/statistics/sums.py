"""Sums over result rows, by slice and cluster: the one table of names and expressions.

A row is one utterance and repeat, as results.parquet holds it. The expressions are plain SQL over
its columns, written here and nowhere else; nothing a user types becomes part of one. Slices are
numbered from coded columns of the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from relkit.core.arrays import IntArray
from relkit.core.metrics import CONVERSATION_TIMINGS, QUALITY_METRICS, column_of
from relkit.core.slices import SliceSpec

QUALITY_COLUMNS = (*QUALITY_METRICS, "level_dbfs")
"""Numbers about the audio itself; null where they were not asked for or could not be made."""

SPEECH_COLUMNS = (
    "first_audio_ms",
    "leading_silence_ms",
    "trailing_silence_ms",
    "clipped",
    "dropouts",
    "warm_up_ms",
)
"""Numbers about clips that a system spoke; null for systems that listen."""

SAFETY_PREFIX = "safety_"

SAFETY_COUNTS = (
    "calls",
    "schema_violations",
    "reading_calls",
    "unbounded_calls",
    "sensitive_calls",
    "unconfirmed_calls",
    "effects",
    "repeated_effects",
    "attacks",
    "injections",
    "attacked_tasks",
    "attacked_tasks_done",
    "readback_chances",
    "readbacks",
    "voices",
    "consented_voices",
)
"""What an exchange with an agent adds to safety metrics: each rate's units before its events."""

SAFETY_COLUMNS = tuple(SAFETY_PREFIX + name for name in SAFETY_COUNTS)
"""The same as columns; null for systems that are no agents, and where nothing was evaluated."""

PROMPT = "prompt_number"
"""Which prompt was read: the same number for the same normalized reference (or value of the
manifest's column ``prompt``) of the run, null where there is none. It leads back to no text."""

DETECTION_COLUMNS = ("eer_errors", "eer_weight", "dcf_cost", "dcf_weight", "scarce")
"""What a trial of a spoofing detector adds (:mod:`relkit.statistics.detection`); null elsewhere."""

UNIT = "unit"
"""What a row is where it is no utterance: a conversation, a turn of one, or an interruption."""

CONVERSATION_PREFIX = "talk_"

CONVERSATION_COUNTS = (
    "turns",
    "unanswered",
    "early",
    "answered",
    "censored",
    "endpointed",
    "false_ends",
    "observed_ends",
    "missed_ends",
    "forced_ends",
    "interruptions",
    "yields",
    "natural_ends",
    "contradictions",
    "ignorable_over_speech",
    "false_yields",
    "ignorable_in_silence",
    "false_replies",
    "budgeted",
    "over_budget",
    "tasks",
    "tasks_done",
    "pass_scored",
    "tool_calls",
    "empty_arguments",
    "forbidding",
    "forbidden",
    "tool_pairs",
    "tool_matches",
    "streamed",
    "unstable",
    "updates",
    "revisions",
    "final_words",
    "taken_back",
    "finals",
    "false_finals",
    "speculations",
    "wasted_speculations",
)
"""What a row adds to the rates of conversations and of streams, as whole numbers."""

PASS_SHARES = ("pass_any", "pass_all")
"""Estimates over the repeats of a conversation; the same on each of its rows."""

CONVERSATION_COLUMNS = tuple(
    CONVERSATION_PREFIX + name for name in (*CONVERSATION_COUNTS, *PASS_SHARES)
)
"""The same as columns; null where a row is of no conversation and no stream."""

CONVERSATION_TIMES = tuple(map(column_of, CONVERSATION_TIMINGS))
"""Single measurements of turns, conversations and streams in ms; null where not measured."""

LATER_COLUMNS = (
    *QUALITY_COLUMNS,
    "quality_reason",
    *SPEECH_COLUMNS,
    PROMPT,
    *DETECTION_COLUMNS,
    *SAFETY_COLUMNS,
    UNIT,
    *CONVERSATION_COLUMNS,
    *CONVERSATION_TIMES,
)
"""Columns that results of earlier versions lack: they are read as null."""

CORE_COLUMNS = (
    "id",
    "repeat",
    "cluster",
    "hits",
    "substitutions",
    "deletions",
    "insertions",
    "raw_hits",
    "raw_substitutions",
    "raw_deletions",
    "raw_insertions",
    "char_hits",
    "char_substitutions",
    "char_deletions",
    "char_insertions",
    "capped_errors",
    "entities",
    "entity_errors",
    "keywords",
    "keyword_errors",
    "runaway",
    "loop",
    "failure",
    "unusable",
    "latency_ms",
    "first_byte_ms",
    "duration",
    "attempts",
    "cached",
    "load",
    *LATER_COLUMNS,
)
"""Columns of every row; any other column of a result file is a slice column."""

COUNT_COLUMNS = CORE_COLUMNS[3:22]
"""Columns that every scored row must hold, as counts or booleans."""

_WORDS = "hits + substitutions + deletions"
_ERRORS = "substitutions + deletions + insertions"
_RAW_WORDS = "raw_hits + raw_substitutions + raw_deletions"
_CHARACTERS = "char_hits + char_substitutions + char_deletions"
_EMPTY = f"{_WORDS} = 0 AND failure IS NULL"
_LATENCY = "latency_ms IS NOT NULL AND isfinite(latency_ms)"
_FIRST_BYTE = "first_byte_ms IS NOT NULL AND isfinite(first_byte_ms)"
_PACED = f"{_LATENCY} AND duration IS NOT NULL AND isfinite(duration) AND duration > 0"


def _known(column: str) -> str:
    return f"{column} IS NOT NULL AND isfinite({column})"


_ITEM = f"({UNIT} IS NULL OR CAST({UNIT} AS VARCHAR) = 'conversation')"
"""An utterance or a conversation; turns are parts of one that is counted already."""


def _sum(expression: str, when: str = "TRUE") -> str:
    """Return an expression that is 0 for unusable rows, which have no score."""
    return f"CASE WHEN unusable IS NULL AND {when} THEN {expression} ELSE 0 END"


def _count(when: str) -> str:
    return _sum("1", when)


def _evaluated(name: str) -> str:
    return _sum(f"coalesce({SAFETY_PREFIX}{name}, 0)", "failure IS NULL")


SUM_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "expected": f"CASE WHEN {_ITEM} THEN 1 ELSE 0 END",
        "unusable": f"CASE WHEN unusable IS NOT NULL AND {_ITEM} THEN 1 ELSE 0 END",
        "utterances": _count(_ITEM),
        "failures": _count(f"{_ITEM} AND failure IS NOT NULL"),
        "hits": _sum("hits"),
        "substitutions": _sum("substitutions"),
        "deletions": _sum("deletions"),
        "insertions": _sum("insertions"),
        "errors": _sum(_ERRORS),
        "words": _sum(_WORDS),
        "hypothesis_words": _sum("hits + substitutions + insertions"),
        "aligned": _sum(f"hits + {_ERRORS}"),
        "capped_errors": _sum("capped_errors"),
        "raw_errors": _sum("raw_substitutions + raw_deletions + raw_insertions"),
        "raw_words": _sum(_RAW_WORDS),
        "char_errors": _sum("char_substitutions + char_deletions + char_insertions"),
        "characters": _sum(_CHARACTERS),
        "entities": _sum("entities"),
        "entity_errors": _sum("entity_errors"),
        "keywords": _sum("keywords"),
        "keyword_errors": _sum("keyword_errors"),
        "with_words": _count(f"{_WORDS} > 0"),
        "with_raw_words": _count(f"{_RAW_WORDS} > 0"),
        "with_characters": _count(f"{_CHARACTERS} > 0"),
        "with_aligned": _count(f"hits + {_ERRORS} > 0"),
        "with_entities": _count("entities > 0"),
        "with_keywords": _count("keywords > 0"),
        "wrong": _count(f"{_ERRORS} > 0"),
        "runaways": _count("runaway"),
        "loops": _count("loop"),
        "empty_clips": _count(_EMPTY),
        "hallucinated": _count(f"{_EMPTY} AND insertions > 0"),
        "hallucinated_words": _sum("insertions", _EMPTY),
        "empty_clip_s": _sum("duration", f"{_EMPTY} AND isfinite(duration)"),
        "paced": _count(_PACED),
        "processing_s": _sum("latency_ms / 1000.0", _PACED),
        "audio_s": _sum("duration", _PACED),
        "timed": _count(_LATENCY),
        "latency_ms": _sum("latency_ms", _LATENCY),
        "first_byte_timed": _count(_FIRST_BYTE),
        "first_byte_ms": _sum("first_byte_ms", _FIRST_BYTE),
        "first_audio_timed": _count(_known("first_audio_ms")),
        "first_audio_ms": _sum("first_audio_ms", _known("first_audio_ms")),
        "spoken": _count(_known("leading_silence_ms")),
        "leading_silence_ms": _sum("leading_silence_ms", _known("leading_silence_ms")),
        "clipped_clips": _count("clipped IS NOT NULL AND clipped > 0"),
        "dropout_clips": _count("dropouts IS NOT NULL AND dropouts > 0"),
        **{name: _sum(name, _known(name)) for name in DETECTION_COLUMNS},
        **{name: _sum(name, _known(name)) for name in QUALITY_METRICS},
        **{f"{name}_scored": _count(_known(name)) for name in QUALITY_METRICS},
        **{name: _evaluated(name) for name in SAFETY_COUNTS},
        "valid_calls": _sum(
            f"coalesce({SAFETY_PREFIX}calls - {SAFETY_PREFIX}schema_violations, 0)",
            "failure IS NULL",
        ),
        **{
            f"with_{name}": _count(f"coalesce({SAFETY_PREFIX}{name}, 0) > 0")
            for name in (*SAFETY_COUNTS[:8:2], "voices")
        },
        **{
            name: _sum(f"coalesce({CONVERSATION_PREFIX}{name}, 0)")
            for name in (*CONVERSATION_COUNTS, *PASS_SHARES)
        },
        **{
            f"with_{name}": _count(f"coalesce({CONVERSATION_PREFIX}{name}, 0) > 0")
            for name in ("tool_calls", "tool_pairs", "updates", "final_words", "speculations")
        },
        **{name: _sum(name, _known(name)) for name in CONVERSATION_TIMES},
        **{f"{name}_timed": _count(_known(name)) for name in CONVERSATION_TIMES},
    }
)
"""Name of a sum to the SQL expression whose values over rows are summed; 0 for unusable rows."""

SLICE_COLUMNS = (
    "expected",
    "unusable",
    "utterances",
    "failures",
    "hits",
    "substitutions",
    "deletions",
    "insertions",
)
"""Sums that every slice of a report shows, whatever its metrics."""


def expressions(names: Iterable[str]) -> dict[str, str]:
    """Return the expressions of sums by name, each once; KeyError for an unknown name."""
    return {name: SUM_COLUMNS[name] for name in dict.fromkeys(names)}


Array = np.ndarray[Any, Any]
_DENSE = 1 << 22  # up to here a table of all combinations is cheaper than sorting the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRows:
    """Rows sorted by slice: ``index`` (R,) into ``slices``, and columns (R,) by name."""

    slices: tuple[str, ...]
    index: IntArray
    columns: Mapping[str, Array]


def sort_by_slice(
    keys: tuple[str, ...], index: IntArray, columns: Mapping[str, Array]
) -> SliceRows:
    """Return rows sorted by slice, in the order they had within each."""
    narrow = index.astype(np.uint16) if len(keys) <= 1 << 16 else index  # which sorts in one pass
    order = np.argsort(narrow, kind="stable")
    return SliceRows(
        slices=keys,
        index=index[order],
        columns={name: values[order] for name, values in columns.items()},
    )


def stack(parts: Sequence[SliceRows]) -> SliceRows:
    """Return the rows of all parts one after another, at least one, their slices numbered on."""
    slices: tuple[str, ...] = ()
    indices = []
    for part in parts:
        indices.append(part.index + len(slices))
        slices += part.slices
    return SliceRows(
        slices=slices,
        index=np.concatenate(indices),
        columns={n: np.concatenate([p.columns[n] for p in parts]) for n in parts[0].columns},
    )


def number_slices(
    spec: SliceSpec, codes: Sequence[IntArray], labels: Sequence[Sequence[str]], rows: int
) -> tuple[tuple[str, ...], IntArray]:
    """Return the keys of the slices that occur, in the order of their values, and each row's (R,).

    ``codes`` holds for each column of ``spec`` the place (R,) of a row's value in that column's
    ``labels``; ``rows`` is R, for ``overall`` has no columns.
    """
    number, size = np.zeros(rows, dtype=np.int64), 1
    for code, names in zip(codes, labels, strict=True):
        if size * len(names) > _DENSE:
            number, occurring = _compact(number, size)
            size = len(occurring)
        number, size = number * len(names) + code, size * len(names)
    number, occurring = _compact(number, size)
    keys = (
        spec.key([names[code[row]] for code, names in zip(codes, labels, strict=True)])
        for row in occurring.tolist()
    )
    return tuple(keys), number


def _compact(number: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """Return numbers without gaps in the same order, and for each a row that has it."""
    if size > _DENSE:
        _, occurring, dense = np.unique(number, return_index=True, return_inverse=True)
        return dense, occurring
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[number] = np.arange(len(number))
    present = row_of >= 0
    return (np.cumsum(present) - 1)[number], row_of[present]
