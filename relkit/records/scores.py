"""The document that ``relkit score --json`` prints."""

from relkit.domain.counts import ErrorCounts
from relkit.domain.scores import Explanation, ScoreResult
from relkit.records.digests import JsonValue


def score_document(result: ScoreResult) -> dict[str, JsonValue]:
    """Return a result with the keys of cli.md; rates are fractions, null without a reference."""
    failed = frozenset(result.failed)
    document: dict[str, JsonValue] = {
        "words": result.counts.reference_length,
        **_counts(result.counts),
        "wer": result.wer,
        "wer_raw": result.wer_raw,
        "wer_capped": result.wer_capped,
        "cer": result.cer,
        "ser": result.ser,
        "mer": result.counts.match_error_rate,
        "wil": result.counts.information_lost,
        "characters": result.characters,
        "character_errors": result.character_errors,
        "utterances": result.utterances,
        "failures": result.failures,
        "runaways": result.runaways,
        "runaway_rate": result.runaway_rate,
        "raw": {"words": result.raw_counts.reference_length, **_counts(result.raw_counts)},
        "normalizer": {"name": result.normalizer, "digest": result.normalizer_digest},
        "masking": [
            {
                "step": step.step,
                "errors_before": step.errors_before,
                "errors_after": step.errors_after,
                "hidden": step.hidden,
            }
            for step in result.masking
        ],
        "scorer": result.scorer,
        "by_utterance": [
            {"id": name, **_counts(result.by_utterance[row]), "failure": row in failed}
            for row, name in enumerate(result.ids)
        ],
    }
    if result.explanation is not None:
        document["against"] = _explanation(result.explanation)
    return document


def _counts(counts: ErrorCounts) -> dict[str, JsonValue]:
    return {
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
    }


def _explanation(explanation: Explanation) -> dict[str, JsonValue]:
    start, end = explanation.start, explanation.end
    return {
        "library": explanation.library,
        "version": explanation.version,
        "wer": None if start is None else float(start),
        "counts": _counts(explanation.theirs),
        "same_tokens": _counts(explanation.same_tokens),
        "relkit_wer": None if end is None else float(end),
        "steps": [
            {
                "name": step.name,
                "effect": float(step.effect),
                "utterances": step.touched,
                "sentence": step.sentence,
            }
            for step in explanation.steps
        ],
    }
