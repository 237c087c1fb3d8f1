"""What ``relkit listen`` tells people."""

import numpy as np

from relkit.conversation.types import Listening, VadRecording
from relkit.core import wording

_HEADER = ("recording", "turns", "answered", "p50", "p95", "overlap/min", "dead air")

_WORTH = {
    "energy": "Energy is exact on a clean channel and loses speech in noise (5 % of clips at 5 dB)",
    "silero": "Silero finds ends of speech late, by 44 to 86 ms in the median",
}


def listening_text(listening: Listening) -> str:
    """Return the recordings as a table, all of them together, and what a latency is worth."""
    rows: list[tuple[str, ...]] = [_HEADER]
    rows += [_row(item.path, (item,)) for item in listening.recordings]
    if len(listening.recordings) > 1:
        rows.append(_row("all", listening.recordings))
    lines = [wording.columns(rows), ""]
    early = sum(turn.kind == "early" for item in listening.recordings for turn in item.turns)
    alone = sum(turn.kind == "unanswered" for item in listening.recordings for turn in item.turns)
    if early or alone:
        lines.append(f"not answered {wording.count(alone)}, answered early {wording.count(early)}")
    lines += [
        f"{item.path}: the user's channel follows the agent's (correlation {item.cross_talk}): "
        "an echo, which counts as speech of the user"
        for item in listening.recordings
        if item.cross_talk is not None
    ]
    lines.append(
        f"By voice activity ({listening.vad}), not by truth: a latency is good to about 0.2 s a "
        f"turn and has a bias of its own. {_WORTH[listening.vad]}. Compare only what was measured "
        "in the same way."
    )
    return "\n".join(lines)


def _row(name: str, recordings: tuple[VadRecording, ...]) -> tuple[str, ...]:
    turns = [turn for item in recordings for turn in item.turns]
    times = [turn.response_ms for turn in turns if turn.response_ms is not None]
    overlap = [item.overlap_ms for item in recordings if item.overlap_ms is not None]
    silent = [item.dead_air_ms for item in recordings if item.dead_air_ms is not None]
    single = len(recordings) == 1
    return (
        name,
        wording.count(len(turns)),
        wording.count(len(times)),
        *(
            wording.number(float(np.percentile(times, share)) if times else None, "ms")
            for share in (50, 95)
        ),
        wording.number(overlap[0] if single and overlap else None, "ms"),
        wording.number(max(silent) if silent else None, "ms"),
    )
