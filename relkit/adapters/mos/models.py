"""The models of speechmos: their files, the parts of them that are run, the spectra they expect.

The files are found, digested and opened without importing speechmos. A part is cut out of an ONNX
file, so that work which windows or raters share is done once. ONNX files are protocol buffers; only
their wire format and a few field numbers are needed (those of onnx.proto), which spares the
``onnx`` package. Nodes, weights and operator versions stay as they are: a part computes exactly
what the whole model computes there. Spectra are as librosa and speechmos compute them.
"""

import hashlib
import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from relkit._version import with_extra
from relkit.audio.quality import RATE
from relkit.core.digests import PREFIX
from relkit.core.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    import onnxruntime


_GRAPH = 7  # ModelProto.graph
_NODE, _INPUT, _OUTPUT, _VALUE_INFO = 1, 11, 12, 13  # GraphProto
_NODE_INPUT, _NODE_OUTPUT = 1, 2  # NodeProto
_INITIALIZER = 5
_TENSOR_NAME = 8  # TensorProto.name
_FLOAT = 1  # TensorProto.DataType
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
TensorShape = Sequence[int | None]
"""The sizes of a tensor, None for any."""


def cut(
    model: bytes, *, inputs: Mapping[str, TensorShape], outputs: Mapping[str, TensorShape]
) -> bytes:
    """Return the part of a model between float tensors, named with their shapes.

    Raises InvalidInput where the bytes are no ONNX model or lack an output.
    """
    try:
        fields = list(_fields(model))
        graph = next(value for number, _, value in fields if number == _GRAPH)
        part = _part(graph, inputs, outputs)
    except (IndexError, StopIteration, UnicodeDecodeError) as error:
        raise InvalidInput(
            "a model file of speechmos is not an ONNX model",
            hint="install it again: pip install --force-reinstall --no-deps speechmos",
        ) from error
    return b"".join(
        _field(number, wire, part if number == _GRAPH else value) for number, wire, value in fields
    )


def _part(
    graph: bytes, inputs: Mapping[str, TensorShape], outputs: Mapping[str, TensorShape]
) -> bytes:
    """Return the graph with the nodes that lie between inputs and outputs, and their weights."""
    fields = list(_fields(graph))
    nodes = {
        i: list(_fields(value)) for i, (number, _, value) in enumerate(fields) if number == _NODE
    }
    inputs_of = {i: _texts(node, _NODE_INPUT) for i, node in nodes.items()}
    makers = {name: i for i, node in nodes.items() for name in _texts(node, _NODE_OUTPUT)}
    needed, nodes_read, read = list(outputs), set[int](), set[str]()
    while needed:
        name = needed.pop()
        read.add(name)
        if name in inputs or name not in makers:
            continue
        if makers[name] not in nodes_read:
            nodes_read.add(makers[name])
            needed.extend(inputs_of[makers[name]])
    if missing := [name for name in outputs if name not in makers]:
        raise InvalidInput(f"the model has no tensor {missing[0]}: relkit needs speechmos 0.0.1.1")
    parts = []
    for i, (number, wire, value) in enumerate(fields):
        gone = number in (_INPUT, _OUTPUT, _VALUE_INFO) or (number == _NODE and i not in nodes_read)
        unread = number == _INITIALIZER and read.isdisjoint(_texts(_fields(value), _TENSOR_NAME))
        if not (gone or unread):
            parts.append(_field(number, wire, value))
    parts += [_field(_INPUT, _BYTES, _tensor(name, shape)) for name, shape in inputs.items()]
    parts += [_field(_OUTPUT, _BYTES, _tensor(name, shape)) for name, shape in outputs.items()]
    return b"".join(parts)


def _texts(fields: Iterable[tuple[int, int, bytes]], name_number: int) -> list[str]:
    return [value.decode() for number, _, value in fields if number == name_number]


def _tensor(name: str, shape: TensorShape) -> bytes:
    """Return a ValueInfoProto of a float tensor."""
    sizes = b""
    for i, size in enumerate(shape):
        named = _field(2, _BYTES, f"{name}_{i}".encode())
        sizes += _field(1, _BYTES, named if size is None else _field(1, _VARINT, _varint(size)))
    tensor = _field(1, _VARINT, _varint(_FLOAT)) + _field(2, _BYTES, sizes)
    return _field(1, _BYTES, name.encode()) + _field(2, _BYTES, _field(1, _BYTES, tensor))


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (field number, wire type, bytes of the value) of a message."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            _, end = _read_varint(data, at)
        elif wire == _BYTES:
            size, at = _read_varint(data, at)
            end = at + size
        elif wire in _WIDTH:
            end = at + _WIDTH[wire]
        else:
            raise IndexError(wire)
        if end > len(data):
            raise IndexError(end)
        yield key >> 3, wire, data[at:end]
        at = end


def _field(number: int, wire: int, value: bytes) -> bytes:
    size = _varint(len(value)) if wire == _BYTES else b""
    return _varint(number << 3 | wire) + size + value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follow
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - as above
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


Float32 = NDArray[np.float32]

HOP = 160
MEL_FFT = 321
MEL_BANDS = 120
_MEL_PAD = MEL_FFT // 2
_FLOOR_POWER = 1e-10
_TOP_DB = 80.0
_BLOCK = 4096  # frames whose spectra are made at once

# Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998).
_MEL_HZ = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _MEL_HZ
    return _LOG_FROM_HZ / _MEL_HZ + math.log(hz / _LOG_FROM_HZ) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    start = _LOG_FROM_HZ / _MEL_HZ
    high = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - start))
    return np.asarray(np.where(mel >= start, high, _MEL_HZ * mel), dtype=np.float64)


@cache
def mel_filters() -> Float32:
    """Return the (120, 161) filters of ``librosa.filters.mel(sr=16000, n_fft=321, n_mels=120)``."""
    edges = _mel_to_hz(np.linspace(_hz_to_mel(0.0), _hz_to_mel(RATE / 2), MEL_BANDS + 2))
    bins = np.fft.rfftfreq(MEL_FFT, 1.0 / RATE)
    ramps = edges[:, None] - bins[None, :]
    widths = np.diff(edges)[:, None]
    lower, upper = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    filters = np.maximum(0.0, np.minimum(lower, upper)).astype(np.float32)
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]  # equal energy in every band
    return filters


def mel_frames(samples: Float32) -> Float32:
    """Return the mel power (t, 120) around every 160th sample, zeros before and after the audio.

    t = 1 + (n - 1) // 160: the centred frames of ``librosa.feature.melspectrogram`` whose spectra
    do not need more than one sample beyond the end.
    """
    frames = 1 + (len(samples) - 1) // HOP
    padded = np.pad(samples, (_MEL_PAD, MEL_FFT))
    cut = sliding_window_view(padded, MEL_FFT)[::HOP][:frames]
    return np.concatenate([_mel_power(cut[i : i + _BLOCK]) for i in range(0, frames, _BLOCK)])


def _mel_power(frames: Float32) -> Float32:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(MEL_FFT) / MEL_FFT)
    spectra = np.fft.rfft(frames * window).astype(np.complex64)
    power = np.abs(spectra) ** 2
    return np.asarray(power @ mel_filters().T, dtype=np.float32)


def mel_windows(samples: Float32, starts: list[int], length: int) -> Float32:
    """Return the scaled mel spectra (w, length / 160, 120) of windows of audio.

    ``starts`` are multiples of 160 samples. Frames inside a window are those of the whole audio;
    the first and the last one see zeros beyond the window's ends and are made again. In decibels
    below the window's maximum, at most 80, mapped to -1 … 1, as speechmos does.
    """
    count = length // HOP
    frames = mel_frames(samples)
    powers = np.stack([frames[start // HOP : start // HOP + count] for start in starts])
    for i, start in enumerate(starts):
        window = samples[start : start + length]
        powers[i, :1] = mel_frames(window[: HOP + 1])[:1]
        powers[i, -1:] = mel_frames(window[-2 * HOP :])[-1:]
    decibels = 10.0 * np.log10(np.maximum(np.float32(_FLOOR_POWER), powers))
    decibels -= decibels.max(axis=(1, 2), keepdims=True)
    return np.asarray((np.maximum(decibels, -_TOP_DB) + 40.0) / 40.0, dtype=np.float32)


PLC_FFT = 512
_PLC_HOP = 256
_PLC_FLOOR_DB = -120.0


def plc_spectrum(samples: Float32) -> Float32:
    """Return the log power spectrum (t, 257) that PLCMOS takes, t = ceil((n + 256) / 256).

    Natural logarithms over 20; bins without power lie 120 dB below the quietest one of the clip.
    """
    count = math.ceil((len(samples) + _PLC_HOP) / _PLC_HOP)
    padded = np.zeros((count + 1) * _PLC_HOP, dtype=np.float32)
    padded[_PLC_HOP : _PLC_HOP + len(samples)] = samples
    frames = sliding_window_view(padded, PLC_FFT)[::_PLC_HOP] * np.hamming(PLC_FFT + 1)[:-1]
    power = np.abs(np.fft.rfft(frames)) ** 2
    quiet = power == 0
    if quiet.all():
        return np.full(power.shape, -80.0 * math.log(10) / 10.0 / 20.0, dtype=np.float32)
    floor = math.log(float(power[~quiet].min())) + _PLC_FLOOR_DB * math.log(10) / 10.0
    logs = np.log(power, out=np.full(power.shape, floor), where=~quiet)
    return np.asarray(logs / 20.0, dtype=np.float32)


P835 = "dnsmos_models/sig_bak_ovr.onnx"
P808 = "dnsmos_models/model_v8.onnx"
PLCMOS = "plcmos_models/plcmos_v2.onnx"

MODELS_OF = {
    "dnsmos_sig": P835,
    "dnsmos_bak": P835,
    "dnsmos_ovrl": P835,
    "dnsmos_p808": P808,
    "plcmos": PLCMOS,
}

LIBRARIES_OF = {"pesq": "pesq", "stoi": "pystoi"}
_NEEDED = ("speechmos", "onnxruntime", "soxr")


def require_packages(metrics: Sequence[str]) -> None:
    """Raise MissingDependency where a package that these metrics need is not installed."""
    names = [LIBRARIES_OF[metric] for metric in metrics if metric in LIBRARIES_OF]
    if any(metric in MODELS_OF for metric in metrics):
        names.extend(_NEEDED)
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"the metrics {', '.join(metrics)} need the package {missing[0]}",
            hint=with_extra("intrusive" if missing[0] in LIBRARIES_OF.values() else "mos"),
        )


def identities(metrics: Sequence[str]) -> dict[str, str]:
    """Return what makes the scores: model file to SHA-256 digest, library to version."""
    files = dict.fromkeys(MODELS_OF[metric] for metric in metrics if metric in MODELS_OF)
    digests = {name: PREFIX + hashlib.sha256(read_model(name)).hexdigest() for name in files}
    libraries = [LIBRARIES_OF[metric] for metric in metrics if metric in LIBRARIES_OF]
    libraries += ["speechmos", "onnxruntime"] if files else []
    return {**digests, **{name: metadata.version(name) for name in libraries}}


def read_model(name: str) -> bytes:
    """Return the bytes of a model of speechmos by its path in the package; raises InvalidInput."""
    package = importlib.util.find_spec("speechmos")  # its __init__ is empty, librosa stays unloaded
    folders = [] if package is None else package.submodule_search_locations or []
    for folder in folders:
        path = Path(folder) / name
        if path.is_file():
            return path.read_bytes()
    raise InvalidInput(
        f"speechmos lacks its model {name}",
        hint="install it again: pip install --force-reinstall --no-deps speechmos",
    )


def open_session(model: bytes) -> "onnxruntime.InferenceSession":
    """Return a session with one thread: processes, not threads, share the cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
