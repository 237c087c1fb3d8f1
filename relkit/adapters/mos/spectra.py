"""The spectra that the models of speechmos expect, as librosa and speechmos compute them."""

import math
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

RATE = 16_000
"""Sample rate in Hz that all models expect."""

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


@cache
def _mel_window() -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(MEL_FFT) / MEL_FFT)


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
    spectra = np.fft.rfft(frames * _mel_window()).astype(np.complex64)
    power = np.abs(spectra) ** 2
    return np.asarray(power @ mel_filters().T, dtype=np.float32)


def mel_windows(samples: Float32, starts: list[int], length: int) -> Float32:
    """Return the scaled mel spectra (w, length / 160, 120) of windows of audio.

    ``starts`` are multiples of 160 samples. Frames inside a window are those of the whole audio;
    the first and the last one see zeros beyond the window's ends and are made again. In decibels
    below the window's maximum, at most 80, mapped to -1 … 1, as speechmos does.
    """
    count = length // HOP
    whole = mel_frames(samples)
    powers = np.stack([whole[start // HOP : start // HOP + count] for start in starts])
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


@cache
def _plc_window() -> NDArray[np.float64]:
    return np.hamming(PLC_FFT + 1)[:-1]


def plc_spectrum(samples: Float32) -> Float32:
    """Return the log power spectrum (t, 257) that PLCMOS takes, t = ceil((n + 256) / 256).

    Natural logarithms over 20; bins without power lie 120 dB below the quietest one of the clip.
    """
    count = math.ceil((len(samples) + _PLC_HOP) / _PLC_HOP)
    padded = np.zeros((count + 1) * _PLC_HOP, dtype=np.float32)
    padded[_PLC_HOP : _PLC_HOP + len(samples)] = samples
    frames = sliding_window_view(padded, PLC_FFT)[::_PLC_HOP] * _plc_window()
    power = np.abs(np.fft.rfft(frames)) ** 2
    quiet = power == 0
    if quiet.all():
        return np.full(power.shape, -80.0 * math.log(10) / 10.0 / 20.0, dtype=np.float32)
    floor = math.log(float(power[~quiet].min())) + _PLC_FLOOR_DB * math.log(10) / 10.0
    logs = np.log(power, out=np.full(power.shape, floor), where=~quiet)
    return np.asarray(logs / 20.0, dtype=np.float32)
