"""Lets an engine speak: times it by our clock, and keeps the clip under its digest."""

import time
from pathlib import Path

from relkit import storage
from relkit.domain.speech import WARM_UP, WARM_UP_FIRST_BYTE, Script, Unspoken
from relkit.domain.utterances import Answer, Failure, FailureReason
from relkit.ports import SpeechEngine
from relkit.records.digests import PREFIX, sha256_bytes
from relkit.rules.wav_streams import audio_start, whole_wav

MAX_AUDIO = 64 << 20
"""The longest clip that is taken, in bytes."""


class EngineSystem:
    """Implements SpeakingSystem with an engine: answers scripts with clips, one at a time.

    Latency runs from the call to the last byte, the first byte is the first one of audio: the
    header of a file does not count, nor does writing the clip down. The first answer after a start
    is a warm-up: its times are in ``usage`` and not among the latencies.
    """

    def __init__(self, engine: SpeechEngine) -> None:
        """Use an engine, which is closed with this."""
        self._engine = engine
        self._warm = False

    def answer(self, script: Script) -> Answer | Failure:
        """Return an answer whose ``audio`` is the clip's path inside the run, ``audio/….wav``."""
        started = time.perf_counter()
        data, first_byte = bytearray(), None
        try:
            for piece in self._engine.say(script.text):
                data += piece
                if first_byte is None and _has_audio(data):
                    first_byte = time.perf_counter()
                if len(data) > MAX_AUDIO:
                    return _protocol("more than 64 MiB of audio")
            ended = time.perf_counter()
            if first_byte is None:
                return Failure(reason=FailureReason.NO_SPEECH, detail="no audio")
            clip = whole_wav(data)
        except Unspoken as unspoken:
            return unspoken.failure
        except ValueError:
            return _protocol("no WAV file")
        name = keep_clip(script.folder, clip)
        return self._timed(name, (ended - started) * 1000, (first_byte - started) * 1000)

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()

    def _timed(self, name: str, latency_ms: float, first_byte_ms: float) -> Answer:
        if self._warm:
            return Answer(text="", audio=name, latency_ms=latency_ms, first_byte_ms=first_byte_ms)
        self._warm = True
        usage = {WARM_UP: latency_ms, WARM_UP_FIRST_BYTE: first_byte_ms}
        return Answer(text="", audio=name, usage=usage)


def keep_clip(folder: str, clip: bytes) -> str:
    """Write a clip, whole or not at all, under its digest, and return its path in the run."""
    name = sha256_bytes(clip).removeprefix(PREFIX) + ".wav"
    path = Path(folder) / name
    if not path.is_file():
        storage.write_bytes(path, clip)
    return f"{path.parent.name}/{name}"


def _has_audio(data: bytearray) -> bool:
    start = audio_start(data)
    return start is not None and len(data) > start


def _protocol(detail: str) -> Failure:
    return Failure(reason=FailureReason.PROTOCOL, detail=detail)
