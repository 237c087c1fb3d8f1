"""DNSMOS P.835 and P.808 (Reddy et al. 2021, 2022) with the models of speechmos.

speechmos runs the whole network on every window of 9.01 s, one second apart. Nearly all of its work
is in convolutions that see 0.24 s around a frame, and windows start on the same frames: so a frame
is convolved once for all windows, and only the 24 frames at each end of a window, which see the
zeros beyond it, once per window. The scores are the library's to about six decimals.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from relkit.adapters.mos.models import P808, P835, open_session, read_model
from relkit.adapters.mos.onnx_parts import cut
from relkit.adapters.mos.spectra import HOP, Float32, mel_windows
from relkit.rules.quality import Windows

_FRAME = 320
_WINDOW_FRAMES = 900
_P808_SAMPLES = _WINDOW_FRAMES * HOP

# The trunk is four 3 x 3 convolutions, and then twice pooling by 2 and a convolution. "Quarters"
# are its outputs, one for four frames. Zeros beyond an end reach 4 frames, pooled 2, with the fifth
# convolution 3 halves, pooled 2, with the sixth 3 quarters.
_QUARTER = 4
_EDGE = 3
_STRIP = 24  # frames whose first (or last) three quarters know nothing of the other end
_WINDOW_QUARTERS = _WINDOW_FRAMES // _QUARTER
_CHUNK = 200  # quarters convolved at once; bounds memory
_BATCH = 8

_FRAMES_IN = "mos_estimator_logpow/concat:0"
_QUARTERS_OUT = "mos_estimator_logpow/conv2d_5/Relu:0"
_SCORES = "Identity:0"

# What maps the network's outputs to MOS, speechmos 0.0.1.1, dnsmos.py (not personalised).
_CALIBRATION = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class P835Model:
    """SIG, BAK and OVRL."""

    def __init__(self) -> None:
        """Read the model and open its two parts."""
        model = read_model(P835)
        frames = {_FRAMES_IN: (None, None, _FRAME)}
        quarters = {_QUARTERS_OUT: (None, 32, None, 40)}
        window = {_QUARTERS_OUT: (None, 32, _WINDOW_QUARTERS, 40)}
        self._trunk = open_session(cut(model, inputs=frames, outputs=quarters))
        self._head = open_session(cut(model, inputs=window, outputs={_SCORES: (None, 3)}))

    def score(self, looped: Float32, windows: Windows, period: int | None) -> dict[str, float]:
        """Return the three scores; ``period`` is the length of the loop in samples, if any."""
        starts = [start // HOP for start in windows.starts]
        frames = sliding_window_view(looped, _FRAME)[::HOP]
        fold = _fold(period)
        if len(starts) == 1 and (fold is None or fold >= _WINDOW_QUARTERS):  # nothing is shared
            window = self._convolved(np.ascontiguousarray(frames[:_WINDOW_FRAMES])[None])
            return _calibrated(self._head.run([_SCORES], {_QUARTERS_OUT: window})[0], windows)
        inner = self._inner(frames, starts, fold)
        raw = []
        for i in range(0, len(starts), _BATCH):
            some = starts[i : i + _BATCH]
            maps = self._with_ends(frames, some, inner, fold)
            raw.append(self._head.run([_SCORES], {_QUARTERS_OUT: maps})[0])
        return _calibrated(np.concatenate(raw), windows)

    def _convolved(self, frames: Float32) -> Float32:
        """Return the quarters (n, 32, t / 4, 40) of frames (n, t, 320)."""
        found: Float32 = self._trunk.run([_QUARTERS_OUT], {_FRAMES_IN: frames})[0]
        return found

    def _inner(self, frames: Float32, starts: list[int], fold: int | None) -> dict[int, Float32]:
        """Return every quarter (32, 40) that lies inside a window, away from its ends."""
        wanted = {
            _folded(start // _QUARTER + i, fold)
            for start in starts
            for i in range(_EDGE, _WINDOW_QUARTERS - _EDGE)
        }
        quarters: dict[int, Float32] = {}
        for first, last in _runs(wanted):
            around = slice((first - _EDGE) * _QUARTER, (last + _EDGE) * _QUARTER)
            found = self._convolved(np.ascontiguousarray(frames[around])[None])[0]
            for i in range(first, last):
                quarters[i] = found[:, i - first + _EDGE]
        return quarters

    def _with_ends(
        self, frames: Float32, starts: list[int], inner: dict[int, Float32], fold: int | None
    ) -> Float32:
        """Return the map (w, 32, 225, 40) of each window, its ends convolved by themselves."""
        strips = [frames[start : start + _STRIP] for start in starts]
        strips += [frames[start + _WINDOW_FRAMES - _STRIP :][:_STRIP] for start in starts]
        ends = self._convolved(np.stack(strips))
        maps = np.empty((len(starts), 32, _WINDOW_QUARTERS, 40), dtype=np.float32)
        for i, start in enumerate(starts):
            maps[i, :, :_EDGE] = ends[i, :, :_EDGE]
            maps[i, :, -_EDGE:] = ends[len(starts) + i, :, -_EDGE:]
            for j in range(_EDGE, _WINDOW_QUARTERS - _EDGE):
                maps[i, :, j] = inner[_folded(start // _QUARTER + j, fold)]
        return maps


class P808Model:
    """The overall score of P.808, from mel spectra."""

    def __init__(self) -> None:
        """Open the model."""
        self._session = open_session(read_model(P808))

    def score(self, looped: Float32, windows: Windows) -> float:
        """Return the score."""
        raw: list[NDArray[np.float32]] = []
        for i in range(0, len(windows.starts), _BATCH):
            some = list(windows.starts[i : i + _BATCH])
            first = some[0]
            part = looped[first : some[-1] + _P808_SAMPLES + _FRAME]
            spectra = mel_windows(part, [start - first for start in some], _P808_SAMPLES)
            raw.append(self._session.run([_SCORES], {"input_1": spectra})[0][:, 0])
        outputs = np.concatenate(raw).astype(np.float64)
        return float(np.average(outputs, weights=windows.weights))


def _calibrated(raw: Float32, windows: Windows) -> dict[str, float]:
    """Return the scores from the network's outputs (w, 3)."""
    outputs = raw.astype(np.float64)
    return {
        name: float(np.average(np.polyval(factors, outputs[:, i]), weights=windows.weights))
        for i, (name, factors) in enumerate(_CALIBRATION.items())
    }


def _fold(period: int | None) -> int | None:
    """Return after how many quarters a loop of so many samples repeats; None where it does not."""
    if period is None or period % HOP:
        return None
    return math.lcm(period // HOP, _QUARTER) // _QUARTER


def _folded(quarter: int, fold: int | None) -> int:
    """Return the first quarter that sees the same samples, not before the first inner one."""
    return quarter if fold is None else _EDGE + (quarter - _EDGE) % fold


def _runs(wanted: Iterable[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges (first, end), none longer than a chunk."""
    runs: list[tuple[int, int]] = []
    for number in sorted(wanted):
        if runs and runs[-1][1] == number and number - runs[-1][0] < _CHUNK:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs
