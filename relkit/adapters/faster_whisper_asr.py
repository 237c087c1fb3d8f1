"""Whisper models by faster-whisper, run in this process."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relkit.domain.errors import InvalidInput, MissingDependency
from relkit.domain.suites import Scalar
from relkit.domain.utterances import Answer, Clip, Failure, FailureReason
from relkit.records.strict import check
from relkit.records.suites import FasterWhisperRecord
from relkit.rules.waveforms import FULL_SCALE, to_pcm16

MODEL_RATE = 16_000
"""The sample rate in Hz that Whisper takes."""


class FasterWhisperSystem:
    """Implements SpeechSystem with a model folder that was checked before (see weights).

    With ``temperature`` 0 there is no fallback to sampling, so that the text is the same in every
    process; text never conditions on an earlier window, which keeps loops from spreading.
    """

    def __init__(
        self, folder: Path, options: Mapping[str, Scalar], *, cpu_threads: int = 0
    ) -> None:
        """Load the model and decode a second of silence, so that no clip pays for the first call.

        ``options`` are those of a suite's ``system``; ``cpu_threads`` serves where they say 0 (0:
        the library's own choice). Raises InvalidInput for options or weights that are refused,
        MissingDependency without faster-whisper.
        """
        record = check(
            FasterWhisperRecord,
            {"kind": "faster-whisper", **options},
            source="system",
        )
        self._settings = {
            "language": record.language,
            "beam_size": record.beam_size,
            "temperature": record.temperature,
            "vad_filter": record.vad_filter,
            "initial_prompt": record.initial_prompt,
            "condition_on_previous_text": False,
        }
        self._model = _load(folder, record, record.cpu_threads or cpu_threads)
        if record.language not in {None, "en"} and not self._model.model.is_multilingual:
            raise InvalidInput(  # the library would only warn and take English
                f'system: the model "{_shown(record)}" knows English only',
                hint="set language to en, or take a multilingual model",
            )
        self._warm_up(record)

    def answer(self, clip: Clip) -> Answer | Failure:
        """Return the text of one clip with its latency in ms, resampling included."""
        started = time.perf_counter()
        try:
            segments, usage = self._decode(samples_for_model(clip))
        except (RuntimeError, ValueError, MemoryError) as error:
            return Failure(reason=FailureReason.CRASHED, detail=type(error).__name__)
        latency_ms = (time.perf_counter() - started) * 1000
        return Answer(text="".join(segments).strip(), latency_ms=latency_ms, usage=usage)

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    def _decode(self, samples: NDArray[np.float32]) -> tuple[list[str], dict[str, float]]:
        if (
            not samples.size
        ):  # a clip shorter than one sample of the model; the library divides by 0
            return [], {"audio_seconds": 0.0, "segments": 0.0, "output_tokens": 0.0}
        found, told = self._model.transcribe(samples, **self._settings)
        segments = list(found)
        usage = {
            "audio_seconds": float(told.duration),
            "segments": float(len(segments)),
            "output_tokens": float(sum(len(segment.tokens) for segment in segments)),
        }
        return [segment.text for segment in segments], usage

    def _warm_up(self, record: FasterWhisperRecord) -> None:
        try:
            self._decode(np.zeros(MODEL_RATE, dtype=np.float32))
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f'system: faster-whisper refuses the options with the model "{_shown(record)}"',
                hint="check language and compute_type",
            ) from error


def _load(folder: Path, record: FasterWhisperRecord, cpu_threads: int) -> Any:  # noqa: ANN401 - the library is untyped
    try:
        from ctranslate2 import (  # type: ignore[import-untyped]  # it has no stubs
            get_supported_compute_types,
        )
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingDependency(
            "faster-whisper is not installed", hint="pip install 'relkit[asr]'"
        ) from error
    if record.device == "cpu" and record.compute_type not in (
        known := get_supported_compute_types("cpu")
    ):
        raise InvalidInput(
            f'system: this CPU does not compute in "{record.compute_type}"',
            hint="compute_type can be " + ", ".join(sorted(known)),
        )
    try:
        return WhisperModel(
            str(folder),
            device=record.device,
            compute_type=record.compute_type,
            cpu_threads=cpu_threads,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as error:  # their words hold absolute paths
        raise InvalidInput(
            f'system: the model "{_shown(record)}" could not be loaded ({type(error).__name__})',
            hint="check its files, the device and the compute type",
        ) from error


def _shown(record: FasterWhisperRecord) -> str:
    return Path(record.model).name


def samples_for_model(clip: Clip) -> NDArray[np.float32]:
    """Return the clip at 16 kHz, by the same steps as the library's own reading of a file.

    It goes through 16-bit integers at both ends, as the library does: so a file and its decoded
    clip give the same text.
    """
    pcm = to_pcm16(clip.samples)
    if clip.sample_rate != MODEL_RATE:
        pcm = _resampled(pcm, clip.sample_rate)
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def _resampled(pcm: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    from av import AudioFrame
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler(format="s16", layout="mono", rate=MODEL_RATE)
    frame = AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    blocks = [part.to_ndarray().reshape(-1) for part in parts]
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.int16)
