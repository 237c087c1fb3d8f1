"""Stereo recordings of conversations: the user on the first channel, the agent on the second."""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from relkit.conversation.segments import sound_spans
from relkit.conversation.types import ReactionWindows, SoundSpan
from relkit.core import storage
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, Clip
from relkit.evaluation.run_files import parse_answer, render_answer

Channels = NDArray[np.float32]
Channel = NDArray[np.float32]
ActivityFinder = Callable[[Channel, int, float], Sequence[SoundSpan]]
"""Finds speech in samples (n,) at a rate in Hz; so much silence in ms ends a stretch."""


def write_recording(
    folder: Path, user: Sequence[NDArray[np.int16]], agent: Sequence[NDArray[np.int16]], rate: int
) -> str:
    """Write both channels as one FLAC file of 16 bits and return its name inside the folder.

    The file is there whole or not at all. The shorter channel is filled up with silence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said, played = (
        np.concatenate(frames) if frames else np.zeros(0, dtype=np.int16)
        for frames in (user, agent)
    )
    stereo = np.zeros((max(len(said), len(played)), 2), dtype=np.int16)
    stereo[: len(said), 0] = said
    stereo[: len(played), 1] = played
    name = f"{secrets.token_hex(8)}.flac"
    temporary = folder / f".{name}.tmp"
    try:
        with temporary.open("wb") as file:
            soundfile.write(file, stereo, rate, format="FLAC", subtype="PCM_16")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name


def keep_recording(path: Path, folder: Path) -> str:
    """Copy a stereo recording into a folder as FLAC and return its name there.

    Raises InvalidInput where it cannot be read, or is no stereo recording.
    """
    samples, rate = read_recording(path)
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return write_recording(folder, [pcm[:, 0]], [pcm[:, 1]], rate)


def read_recording(path: Path) -> tuple[Channels, int]:
    """Return the channels (n, 2) of a recording and its sample rate in Hz.

    Raises InvalidInput where it cannot be read, or is no stereo recording.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise InvalidInput(
            f"the recording {path.name} cannot be read", hint="hold the conversation again"
        ) from error
    if samples.shape[1] != 2:  # noqa: PLR2004 - stereo
        raise InvalidInput(
            f"the recording {path.name} has {samples.shape[1]} channels, not two",
            hint="record the user on the first channel and the agent on the second",
        )
    return samples, int(rate)


class RecordingFolder:
    """Implements RecordingFiles: recordings of runs, and those that later runs may use again.

    A kept recording is a file beside its answer, both below a folder of the cache; half of a pair
    is none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        resample: Callable[[Channel, int, int], Channel],
        speech: ActivityFinder,
        fresh: bool = False,
    ) -> None:
        """Keep recordings below ``folder``, which need not exist yet.

        ``resample`` changes samples (n,) from a rate to another; ``speech`` finds speech in them.
        Where it is ``fresh``, nothing is fetched.
        """
        self._fresh = fresh
        self._folder, self._resample, self._speech = folder, resample, speech

    def resampled(self, clip: Clip, sample_rate: int) -> bytes:
        """Return a clip's samples at another rate; raises MissingDependency without soxr."""
        if clip.sample_rate == sample_rate:
            return clip.samples
        samples = np.frombuffer(clip.samples, dtype="<f4")
        converted = self._resample(samples, clip.sample_rate, sample_rate)
        return converted.astype("<f4").tobytes()

    def sound(
        self, path: str, folders: Sequence[Path], *, windows: ReactionWindows, source: str
    ) -> Sequence[SoundSpan] | None:
        """Return where the agent's channel has sound, by level or by voice activity."""
        file = next((folder / path for folder in folders if (folder / path).is_file()), None)
        if file is None or ".." in Path(path).parts:
            return None
        samples, rate = read_recording(file)
        agent = np.ascontiguousarray(samples[:, 1])
        if source == "audio":
            return sound_spans(agent, rate, bridge_ms=windows.bridge_ms)
        return self._speech(agent, rate, windows.bridge_ms)

    def fetch(self, key: str, folder: Path) -> Answer | None:
        """Return the answer under a key, its recording copied into ``folder``."""
        if self._fresh:
            return None
        stored, sound = self._paths(key)
        try:
            _, answer = parse_answer(stored.read_text(encoding="utf-8"), source=stored.name)
            data = sound.read_bytes()
        except (OSError, InvalidInput):
            return None
        if not isinstance(answer, Answer) or answer.audio is None:
            return None
        storage.write_bytes(folder / Path(answer.audio).name, data)
        return answer

    def keep(self, key: str, answer: Answer, folder: Path) -> None:
        """Keep an answer; its recording first, so that an answer never lacks its own."""
        if answer.audio is None:
            return
        stored, sound = self._paths(key)
        data = (folder / Path(answer.audio).name).read_bytes()
        storage.write_bytes(sound, data)
        storage.write_text(stored, render_answer("kept", answer))

    def _paths(self, key: str) -> tuple[Path, Path]:
        name = key.rpartition(":")[2]
        return self._folder / f"{name}.json", self._folder / f"{name}.flac"
