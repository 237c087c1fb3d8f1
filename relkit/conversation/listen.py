"""``relkit listen``: turns and latencies of recordings that were made elsewhere."""

from collections.abc import Sequence

import numpy as np

from relkit.conversation.logs import turns_of_user
from relkit.conversation.ports import RecordingReader, SideSamples, SpeechDetector
from relkit.conversation.record import conversation_of_spans
from relkit.conversation.segments import frame_powers
from relkit.conversation.turns import conversation_times, measure_turns
from relkit.conversation.types import (
    Conversation,
    Listening,
    SoundSpan,
    VadKind,
    VadRecording,
    VadTurn,
)
from relkit.core.errors import InvalidInput, NoData

CROSS_TALK = 0.6
"""From this correlation of levels on the user's channel holds the agent's sound, too."""

LONGEST_ECHO_FRAMES = 30
_LEAST_FRAMES = 100
_LENGTH_SLACK_S = 0.1
_FLOOR_DBFS = -70.0

ChannelOfSide = tuple[SideSamples, int]
"""Samples of one side with their rate in Hz."""


def listen(
    recordings: Sequence[tuple[str, tuple[str, ...]]],
    *,
    sides: tuple[int, int],
    vad: VadKind,
    reader: RecordingReader,
    detector: SpeechDetector,
) -> Listening:
    """Return the turns of recordings: each a name to show, and one stereo file or two files.

    ``sides`` are the channels of user and agent in a stereo file, from 0. Raises InvalidInput for
    a recording that has not two sides, NoData where nobody speaks in any of them.
    """
    listening = []
    for name, paths in recordings:
        user, agent = _sides(name, paths, sides, reader)
        spans = [detector.speech(*side) for side in (user, agent)]
        duration_ms = min(1000.0 * len(samples) / rate for samples, rate in (user, agent))
        conversation = conversation_of_spans(
            id=name,
            duration_ms=max(duration_ms, *(span.stop_ms for side in spans for span in side), 0.0),
            user=turns_of_user(spans[0], spans[1]),
            agent=spans[1],
        )
        listening.append(_measured(name, conversation, cross_talk(user, agent, spans[1])))
    if not any(item.turns or item.overlap_ms is not None for item in listening):
        raise NoData(
            "nobody speaks in what was recorded",
            hint="voice activity found no speech: are --user and --agent the right channels?",
        )
    return Listening(vad=vad, source="vad", recordings=tuple(listening))


def cross_talk(
    user: ChannelOfSide, agent: ChannelOfSide, spans: Sequence[SoundSpan]
) -> float | None:
    """Return how the user's levels follow the agent's while that speaks, None below ``CROSS_TALK``.

    The highest correlation of the levels (dBFS) of 10 ms, the user's up to 300 ms later, over
    frames in which the agent speaks; less than a second of them, or a silent channel, tell nothing.
    """
    levels = [
        np.maximum(10.0 * np.log10(np.maximum(frame_powers(*side), 1e-12)), _FLOOR_DBFS)
        for side in (user, agent)
    ]
    frames = min(map(len, levels))
    speaking = np.zeros(frames, dtype=bool)
    for span in spans:
        speaking[int(span.start_ms / 10.0) : int(span.stop_ms / 10.0)] = True
    at = np.flatnonzero(speaking)
    best = 0.0
    for lag in range(LONGEST_ECHO_FRAMES + 1):
        pairs = at[at + lag < frames]
        if len(pairs) < _LEAST_FRAMES:
            break
        echo, sound = levels[0][pairs + lag], levels[1][pairs]
        if echo.std() > 0.0 and sound.std() > 0.0:
            best = max(best, float(np.corrcoef(echo, sound)[0, 1]))
    return round(best, 2) if best >= CROSS_TALK else None


def _sides(
    name: str, paths: tuple[str, ...], sides: tuple[int, int], reader: RecordingReader
) -> tuple[ChannelOfSide, ChannelOfSide]:
    """Return the user's and the agent's samples; raises InvalidInput."""
    if len(paths) == 1:
        rate, channels = reader.channels(paths[0])
        if len(channels) <= max(sides):
            raise InvalidInput(
                f"{name}: {len(channels)} channel{'s' * (len(channels) != 1)}, where user and "
                "agent each need one of their own",
                hint="record both sides apart, or give two files: --user FILE --agent FILE",
            )
        return (channels[sides[0]], rate), (channels[sides[1]], rate)
    files = [reader.channels(path) for path in paths]
    if any(len(channels) != 1 for _, channels in files):
        raise InvalidInput(
            f"{name}: a file of one side has one channel", hint="give a stereo file alone"
        )
    user, agent = ((channels[0], rate) for rate, channels in files)
    lengths = [len(samples) / rate for samples, rate in (user, agent)]
    if abs(lengths[0] - lengths[1]) > _LENGTH_SLACK_S:
        raise InvalidInput(
            f"{name}: the sides have different lengths, {lengths[0]:.2f} s and {lengths[1]:.2f} s",
            hint="both files begin and end at the same moments: cut or fill one of them",
        )
    return user, agent


def _measured(name: str, conversation: Conversation, echo: float | None) -> VadRecording:
    times = conversation_times(conversation)
    return VadRecording(
        path=name,
        turns=tuple(
            VadTurn(
                start_ms=round(turn.speech.start_ms, 1),
                stop_ms=round(turn.speech.stop_ms, 1),
                response_ms=None if turn.response_ms is None else round(turn.response_ms, 1),
                kind=turn.ending or "censored",
            )
            for turn in measure_turns(conversation)
        ),
        overlap_ms=None if times.overlap_ms is None else round(times.overlap_ms, 1),
        dead_air_ms=None if times.dead_air_ms is None else round(times.dead_air_ms, 1),
        cross_talk=echo,
    )
