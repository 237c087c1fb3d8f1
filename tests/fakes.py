"""Test doubles that really do what they stand for: small systems, real processes, real clips."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, Clip, Failure, FailureReason


def tone(index: int, *, seconds: float = 0.01) -> Clip:
    """Return a clip whose digest is its number, so that a system can tell clips apart."""
    samples = np.full(round(seconds * 8_000), index / 1000, dtype="<f4")
    return Clip(
        samples=samples.tobytes(), sample_rate=8_000, digest=str(index), path="", whole=True
    )


def tones(count: int) -> Iterator[tuple[str, int, Clip]]:
    """Yield ``count`` items as an executor takes them, one after the other."""
    for i in range(count):
        yield f"u{i}", 0, tone(i)


def write_tone(path: Path, *, seconds: float = 0.5, rate: int = 16_000) -> Clip:
    """Write a real file and return it as the clip that a reader would make of it."""
    time_s = np.arange(round(seconds * rate)) / rate
    samples = (np.sin(time_s * 2764.6) * 8_000).astype(np.int16)
    soundfile.write(path, samples, rate)
    return Clip(
        samples=(samples.astype("<f4") / np.float32(32768)).tobytes(),
        sample_rate=rate,
        digest="sha256:tone",
        path=str(path),
        whole=True,
    )


class EchoSystem:
    """Implements SpeechSystem: answers with the clip's digest, after what its name tells it to do.

    ``script`` maps a digest to ``hang``, ``crash``, ``exit``, ``defect``, ``refuse``,
    ``unreachable``, or
    ``flaky:N`` (retryable N times, then an answer); ``*`` stands for every other clip. ``diary``
    is a file that gets a line per event, for tests that look at what happened where.
    """

    def __init__(self, script: dict[str, str] | None = None, diary: Path | None = None) -> None:
        """Note the start; the script ``{"build": "refuse"}`` or ``crash`` ends it at once."""
        self._script = script or {}
        self._diary = diary
        self._asked: dict[str, int] = {}
        self._note("built")
        if self._script.get("build") == "refuse":
            raise InvalidInput("system: refused to be built", hint="build another")
        if self._script.get("build") == "crash":
            os._exit(9)

    def answer(self, clip: Clip) -> Answer | Failure:
        """Do as the script says for this clip, else echo its digest."""
        self._note(f"asked {clip.digest}")
        self._asked[clip.digest] = self._asked.get(clip.digest, 0) + 1
        order, _, count = self._script.get(clip.digest, self._script.get("*", "")).partition(":")
        match order:
            case "hang":
                time.sleep(600)
            case "crash":
                os.abort()
            case "exit":
                os._exit(3)
            case "defect":
                raise KeyError("what was said: zq7x-kite-40")
            case "unreachable":
                return Failure(reason=FailureReason.UNREACHABLE, retryable=True)
            case "refuse":
                return Failure(reason=FailureReason.REFUSED, detail="status 400")
            case "flaky" if self._asked[clip.digest] <= int(count):
                return Failure(reason=FailureReason.REFUSED, detail="status 500", retryable=True)
            case "threads":
                names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
                return Answer(text=" ".join(os.environ.get(name, "-") for name in names))
            case "print":
                print("noise from a library")  # noqa: T201 - libraries do this
        return Answer(text=clip.digest, latency_ms=1.0)

    def close(self) -> None:
        """Note the end."""
        self._note("closed")

    def _note(self, event: str) -> None:
        if self._diary is not None:
            with self._diary.open("a") as file:
                file.write(f"{os.getpid()} {event}\n")
