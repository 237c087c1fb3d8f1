"""What ``relkit score`` prints for people."""

from relkit.cli.output import safe
from relkit.cli.tables import columns
from relkit.domain.scores import ScoreResult
from relkit.rules.peer_differences import explanation_lines
from relkit.rules.presenting import number


def score_summary(result: ScoreResult) -> str:
    """Return rates, counts, what the normalizer hid, and the explanation where asked for."""
    counts = result.counts
    rates = [
        ["WER", number(result.wer, "fraction")],
        ["  raw", number(result.wer_raw, "fraction")],
        ["  capped", number(result.wer_capped, "fraction")],
        ["CER", number(result.cer, "fraction")],
        ["SER", number(result.ser, "fraction")],
        ["MER", number(counts.match_error_rate, "fraction")],
        ["WIL", number(counts.information_lost, "fraction")],
    ]
    amounts = [
        ["words", str(counts.reference_length)],
        ["hits", str(counts.hits)],
        ["substitutions", str(counts.substitutions)],
        ["deletions", str(counts.deletions)],
        ["insertions", str(counts.insertions)],
        ["utterances", str(result.utterances)],
        ["failures", str(result.failures)],
    ]
    rows = [[*left, *right] for left, right in zip(rates, amounts, strict=True)]
    parts = [columns([[a, b, f"  {c}", d] for a, b, c, d in rows])]
    parts += [
        f"normalizer step {safe(step.step)}: {step.errors_before} word errors before, "
        f"{step.errors_after} after ({step.hidden} hidden)"
        for step in result.masking
    ]
    if result.runaways:
        parts.append(f"{result.runaways} runaway utterances")
    if result.explanation is not None:
        parts += ["", *explanation_lines(result.explanation)]
    return "\n".join(parts)
