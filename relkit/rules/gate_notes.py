"""What has to be known beside the checks of a decision, a line each; overrides above all."""

from relkit.domain.decisions import Override
from relkit.domain.gates import CheckRecord, JudgedPart, Verdict
from relkit.rules.presenting import NONE, number

WORDS = {
    Verdict.FAIL: "FAIL",
    Verdict.ERROR: "ERROR",
    Verdict.NO_DATA: "NO DATA",
    Verdict.INCONCLUSIVE: "UNDECIDED",
    Verdict.PASS: "PASS",
}
"""Verdicts as people are shown them."""


def check_line(check: CheckRecord) -> str:
    """Return a named check or approval in one line."""
    signed = "signed" if check.key else "not signed"
    until = f", until {check.expires}" if check.expires else ""
    reason = f": {check.reason}" if check.reason else ""
    word = WORDS[check.verdict]
    return f"check {check.name}: {word}, by {check.by} ({signed}, {check.created}{until}){reason}"


def override_line(override: Override) -> str:
    """Return an override: who took it upon themselves, why, and the ticket."""
    said = (
        f"by {override.by} ({override.ticket}, {override.created} until {override.expires}): "
        f"{override.reason}"
    )
    if override.key is None:
        return f"override {said} - without a trusted signature, so it counts for nothing"
    return f"OVERRIDDEN {said}"


def null_line(part: JudgedPart) -> str:
    """Return the A/A certificate: how often this data blocks a system that is equal to itself."""
    named = _named(part)
    replay = part.null_replay
    if replay is None or replay.false_block_rate is None:
        return f"A/A{named}: not replayed, so the false-block rate is unknown"
    return (
        f"A/A{named}: {replay.blocked} of {replay.replays} replays of equal systems were blocked "
        f"({number(replay.false_block_rate, 'fraction')}), {replay.undecided} undecided; "
        f"{replay.method}"
    )


def coverage_line(part: JudgedPart) -> str:
    """Return how much of what was asked for was scored."""
    seen = part.coverage
    share = number(seen.scored / seen.expected, "fraction") if seen.expected else NONE
    return (
        f"coverage{_named(part)}: {seen.scored:,} of {seen.expected:,} scored ({share}), "
        f"{seen.unusable:,} unusable"
    )


def part_lines(part: JudgedPart) -> list[str]:
    """Return what has to be known of a part: coverage, A/A, what the baseline left out."""
    lines = [coverage_line(part), null_line(part)]
    if part.baseline_failures:
        count = len(part.baseline_failures)
        lines.append(
            f"baseline{_named(part)}: no answer to {count:,} utterance{'' if count == 1 else 's'}, "
            "counted as right for it"
        )
    return lines


def _named(part: JudgedPart) -> str:
    return f" of {part.name}" if part.name else ""
