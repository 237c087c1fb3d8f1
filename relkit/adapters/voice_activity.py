"""Silero VAD, a small neural network that says how likely 32 ms of sound are speech.

The ONNX file is the one that faster-whisper carries (Silero VAD v6, MIT). It takes 512 samples at
16 kHz with the 64 before them, and keeps a state from chunk to chunk: a live stream is asked chunk
by chunk, a recording many chunks at a time, with the same figures.
"""

import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relkit._version import with_extra
from relkit.conversation.segments import probability_spans
from relkit.conversation.types import SoundSpan
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput, MissingDependency

Mono = NDArray[np.float32]

VAD_RATE = 16_000
"""The sample rate in Hz that the model takes."""

CHUNK = 512
"""Samples that are asked about at once; 32 ms."""

CHUNK_MS = 1000.0 * CHUNK / VAD_RATE

_CONTEXT = 64
_AT_ONCE = 1024  # chunks of a recording that go through the network together
_MODEL = "silero_vad_v6.onnx"


class SileroVad:
    """The model, loaded once; it runs on one thread, and any number of streams share it."""

    def __init__(self) -> None:
        """Load the model; raises MissingDependency where the extra ``asr`` is not installed."""
        model = _model_bytes()
        self.digest = PREFIX + hashlib.sha256(model).hexdigest()
        """SHA-256 of the model file."""
        try:
            import onnxruntime
        except ImportError as error:
            raise _not_installed("onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    @property
    def version(self) -> str:
        """What makes the probabilities: the model's digest and the library that runs it."""
        return f"{self.digest}, onnxruntime {metadata.version('onnxruntime')}"

    def stream(self) -> "VadStream":
        """Return a stream at its beginning."""
        return VadStream(self._session)

    def probabilities(self, samples: Mono) -> NDArray[np.float32]:
        """Return the probability of speech by chunk of a recording at 16 kHz, shape (chunks,).

        The last chunk is filled up with silence.
        """
        count = -(-len(samples) // CHUNK)
        padded = np.zeros(_CONTEXT + count * CHUNK, dtype=np.float32)
        padded[_CONTEXT : _CONTEXT + len(samples)] = samples
        if not count:
            return np.zeros(0, dtype=np.float32)
        chunks = np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + CHUNK)[::CHUNK]
        stream = self.stream()
        parts = [stream.ask(chunks[at : at + _AT_ONCE]) for at in range(0, count, _AT_ONCE)]
        return np.concatenate(parts)

    def speech(
        self, samples: Mono, sample_rate: int, *, bridge_ms: float = 200.0, least_ms: float = 96.0
    ) -> tuple[SoundSpan, ...]:
        """Return where there is speech in a recording, in ms, by :func:`probability_spans`.

        Speech that is shorter than ``least_ms`` is none, and less than ``bridge_ms`` of silence
        parts nothing. Raises MissingDependency where it has to be resampled and soxr is not
        installed.
        """
        at_rate = Resampler(sample_rate, VAD_RATE).all_of(samples)
        spans = probability_spans(
            self.probabilities(at_rate), CHUNK_MS, shortest_ms=least_ms, bridge_ms=bridge_ms
        )
        end_ms = 1000.0 * len(samples) / sample_rate
        return tuple(
            SoundSpan(start_ms=span.start_ms, stop_ms=min(span.stop_ms, end_ms)) for span in spans
        )


class VadStream:
    """Sound as it comes in; it keeps the network's state and the last samples."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - the library is untyped
        """Begin with silence."""
        self._session = session
        self._input = np.zeros((1, _CONTEXT + CHUNK), dtype=np.float32)
        self._state: tuple[Any, Any] = (
            np.zeros((1, 1, 128), dtype=np.float32),
            np.zeros((1, 1, 128), dtype=np.float32),
        )

    def probability(self, chunk: Mono) -> float:
        """Return the probability that a chunk, shape (512,) at 16 kHz, is speech."""
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        self._input[0, _CONTEXT:] = chunk
        return float(self.ask(self._input)[0])

    def ask(self, chunks: Mono) -> NDArray[np.float32]:
        """Return the probabilities of chunks that follow each other, shape (n, 64 + 512)."""
        hidden, cell = self._state
        output, *state = self._session.run(None, {"input": chunks, "h": hidden, "c": cell})
        self._state = (state[0], state[1])
        return np.asarray(output, dtype=np.float32).reshape(-1)


class Resampler:
    """Changes the sample rate of mono sound, a piece at a time; equal rates change nothing."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Begin a stream; raises MissingDependency without soxr where the rates differ."""
        self._soxr: Any = None
        self._rates = source_rate, target_rate
        if source_rate != target_rate:
            try:
                import soxr
            except ImportError as error:
                raise MissingDependency(
                    f"sound at {source_rate} Hz needs the package soxr",
                    hint=f"{with_extra('mos')}, or send {target_rate} Hz",
                ) from error
            self._soxr = soxr
            self._stream: Any = soxr.ResampleStream(
                source_rate, target_rate, 1, dtype="float32", quality="HQ"
            )

    def more(self, samples: Mono, *, last: bool = False) -> Mono:
        """Return what can be said of the sound so far, after what was returned before."""
        if self._soxr is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples, last=last), dtype=np.float32)

    def all_of(self, samples: Mono) -> Mono:
        """Return a whole recording at the other rate."""
        if self._soxr is None:
            return np.asarray(samples, dtype=np.float32)
        converted = self._soxr.resample(samples, *self._rates, quality="HQ")
        return np.asarray(converted, dtype=np.float32)


def _model_bytes() -> bytes:
    """Return the model; the package is looked for and not loaded, which would take seconds."""
    package = importlib.util.find_spec("faster_whisper")
    if package is None or package.origin is None:
        raise _not_installed("faster-whisper")
    path = Path(package.origin).parent / "assets" / _MODEL
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"faster-whisper {metadata.version('faster-whisper')} does not carry {_MODEL}",
            hint="install faster-whisper 1.2",
        ) from error


def _not_installed(name: str) -> MissingDependency:
    return MissingDependency(
        f"voice activity needs the package {name}, which is not installed", hint=with_extra("asr")
    )
