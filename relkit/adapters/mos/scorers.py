"""DNSMOS, PLCMOS, PESQ and STOI of clips: one worker's models, and the scorer a workflow sees.

DNSMOS P.835 and P.808 (Reddy et al. 2021, 2022) with the models of speechmos. speechmos runs the
whole network on every window of 9.01 s, one second apart. Nearly all of its work is in convolutions
that see 0.24 s around a frame, and windows start on the same frames: so a frame is convolved once
for all windows, and only the 24 frames at each end of a window, which see the zeros beyond it, once
per window. The scores are the library's to about six decimals.

PLCMOS v2 (Diener et al. 2023) with the model of speechmos. The network judges a clip as a rater
would, a random vector of 64 numbers, and speechmos averages 15 raters drawn anew each time: the
same clip scores differently by about 0.03. It also runs the whole network for each of them, though
only the last layers know the rater. Here the first layers run once, and 960 raters that are always
the same judge what they give: the score is the library's expected value to an eighth of its
spread, and the same in every run.

PESQ and STOI compare a clip with its reference recording, by the libraries pesq and pystoi.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from relkit.adapters.mos.models import (
    HOP,
    MODELS_OF,
    P808,
    P835,
    PLCMOS,
    Float32,
    cut,
    identities,
    mel_windows,
    open_session,
    plc_spectrum,
    read_model,
    require_packages,
)
from relkit.audio.quality import (
    NO_REFERENCE,
    PROTOCOL,
    RATE,
    Windows,
    parse_quality,
    plan_windows,
    render_quality,
    unscorable,
    unscored,
)
from relkit.audio.samples import measure_level
from relkit.audio.types import ComparedClip, Quality
from relkit.core.digests import digest_of
from relkit.core.metrics import INTRUSIVE, PREDICTED
from relkit.datasets.types import Answer, Clip, Failure
from relkit.evaluation.ports import Executor

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
        quarters: Float32 = self._trunk.run([_QUARTERS_OUT], {_FRAMES_IN: frames})[0]
        return quarters

    def _inner(self, frames: Float32, starts: list[int], fold: int | None) -> dict[int, Float32]:
        """Return every quarter (32, 40) that lies inside a window, away from its ends."""
        numbers = {
            _folded(start // _QUARTER + i, fold)
            for start in starts
            for i in range(_EDGE, _WINDOW_QUARTERS - _EDGE)
        }
        quarters: dict[int, Float32] = {}
        for first, last in _runs(numbers):
            around = slice((first - _EDGE) * _QUARTER, (last + _EDGE) * _QUARTER)
            convolved = self._convolved(np.ascontiguousarray(frames[around])[None])[0]
            for i in range(first, last):
                quarters[i] = convolved[:, i - first + _EDGE]
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


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges (first, end), none longer than a chunk."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number and number - runs[-1][0] < _CHUNK:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs


RATERS = 15
"""Raters that speechmos averages."""

REPEATS = 64
"""Repeats of speechmos's measurement whose average is the score."""

_SEED = 20230701
_EMBEDDING = 64
_AUDIO, _RATER, _SCORE = "degraded_audio", "rater_embed", "plcmos"
_FEATURES = ("onnx::Concat_335", "onnx::Concat_337")
_HIDDEN = 32


class PlcModel:
    """PLCMOS of one process."""

    def __init__(self) -> None:
        """Read the model and open its two parts."""
        model = read_model(PLCMOS)
        tensors = dict.fromkeys(_FEATURES, (None, _HIDDEN))
        encoder = cut(model, inputs={_AUDIO: (None, 1, None, 257)}, outputs=tensors)
        judged = {_RATER: (None, _EMBEDDING), **tensors}
        self._encoder = open_session(encoder)
        self._judge = open_session(cut(model, inputs=judged, outputs={_SCORE: (None,)}))

    def score(self, samples: Float32) -> tuple[float, float]:
        """Return the score of audio at 16 kHz, not empty, and the standard error of it."""
        features = self._encoder.run(list(_FEATURES), {_AUDIO: plc_spectrum(samples)[None, None]})
        raters = _raters()
        same = {
            name: np.broadcast_to(value, (len(raters), _HIDDEN)).copy()
            for name, value in zip(_FEATURES, features, strict=True)
        }
        scores = self._judge.run([_SCORE], {_RATER: raters, **same})[0].astype(np.float64)
        repeats = scores.reshape(REPEATS, RATERS).mean(axis=1)
        return float(repeats.mean()), float(repeats.std(ddof=1)) / math.sqrt(REPEATS)


@cache
def _raters() -> Float32:
    """Return the raters (960, 64), standard normal as speechmos draws them."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    return generator.standard_normal((RATERS * REPEATS, _EMBEDDING)).astype(np.float32)


LENGTHS_MAY_DIFFER_S = 0.1
"""STOI compares moment by moment: two recordings of other lengths are not of one another."""


def pesq_score(reference: Float32, degraded: Float32) -> float | str:
    """Return wide-band PESQ (ITU-T P.862.2, 1 to 4.64) at 16 kHz, or why there is none."""
    import pesq

    try:
        value = float(pesq.pesq(RATE, reference, degraded, "wb"))
    except pesq.NoUtterancesError:
        return "no_speech"
    except pesq.BufferTooShortError:
        return "too_short"
    except (pesq.PesqError, ValueError):
        return "not_comparable"
    return value if math.isfinite(value) else "not_comparable"


def stoi_score(reference: Float32, degraded: Float32) -> float | str:
    """Return STOI (Taal et al. 2011, about 0 to 1) over the common length, or why there is none.

    Both start at their first sample; lengths that differ by over 0.1 s are not compared.
    """
    from pystoi import stoi

    if abs(len(reference) - len(degraded)) > LENGTHS_MAY_DIFFER_S * RATE:
        return "lengths_differ"
    count = min(len(reference), len(degraded))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # its word for too little speech: 1e-5
        try:
            value = float(stoi(reference[:count], degraded[:count], RATE, extended=False))
        except RuntimeWarning:
            return "too_short"
        except ValueError:
            return "not_comparable"
    return value if math.isfinite(value) else "not_comparable"


ALGORITHM = "relkit.mos/v1"
"""Rises when the same models would give other numbers."""


class MosScorer:
    """Implements QualityScorer by an executor of :class:`MosSystem`.

    ``metrics`` are those asked for, ``models`` maps model files to SHA-256 and libraries to
    versions, ``protocol`` is what is done to the audio first, ``digest`` covers all of these.
    """

    def __init__(self, metrics: Sequence[str], executor: Executor) -> None:
        """Name the models; raises MissingDependency, InvalidInput where one is not there."""
        require_packages(metrics)
        self.metrics = tuple(metrics)
        self.models: Mapping[str, str] = identities(metrics)
        self.protocol = PROTOCOL
        self.digest = digest_of(
            {
                "algorithm": ALGORITHM,
                "protocol": PROTOCOL,
                "metrics": list(metrics),
                "models": self.models,
            }
        )
        self._executor = executor

    def score(self, clips: Iterable[tuple[str, ComparedClip]]) -> Iterator[tuple[str, Quality]]:
        """Yield a quality per (id, clip), in any order; one that ends a worker has no scores."""
        for prediction in self._executor.predict((name, 0, clip) for name, clip in clips):
            outcome = prediction.outcome
            if isinstance(outcome, Failure):
                yield prediction.id, unscored(self.metrics, outcome.reason.value)
            else:
                yield prediction.id, parse_quality(outcome.text, source="a quality worker")


_INTRUSIVE = {"pesq": pesq_score, "stoi": stoi_score}


class MosModels:
    """The models behind some metrics, opened once and used by one process."""

    def __init__(self, metrics: Sequence[str]) -> None:
        """Open them; raises MissingDependency, InvalidInput."""
        require_packages(metrics)
        self._metrics = tuple(metrics)
        self._p835 = P835Model() if any(MODELS_OF.get(m) == P835 for m in metrics) else None
        self._p808 = P808Model() if "dnsmos_p808" in metrics else None
        self._plc = PlcModel() if "plcmos" in metrics else None

    def quality(self, clip: Clip) -> Quality:
        """Return everything that is asked for of one clip; raises nothing for bad audio."""
        recorded = np.frombuffer(clip.samples, dtype="<f4")
        reason = unscorable(recorded, clip.sample_rate)
        if reason is not None:
            return unscored(self._metrics, reason)
        samples = resampled(recorded, clip.sample_rate)
        windows = plan_windows(len(samples))
        scores, noise = self._predicted(samples)
        against, reasons = self._compared(samples, clip)
        some_windows = self._p835 is not None or self._p808 is not None
        return Quality(
            scores={**scores, **against},
            reasons=reasons,
            noise=noise,
            level=measure_level(recorded, clip.sample_rate),
            windows=windows.used if some_windows else 0,
            dropped=windows.dropped if some_windows else 0,
        )

    def _predicted(self, samples: Float32) -> tuple[dict[str, float], dict[str, float]]:
        """Return the predicted scores and their noise."""
        windows = plan_windows(len(samples))
        looped = np.resize(samples, windows.length)
        scores: dict[str, float] = {}
        noise: dict[str, float] = {}
        if self._p835 is not None:
            period = len(samples) if windows.length > len(samples) else None
            scores |= self._p835.score(looped, windows, period)
        if self._p808 is not None:
            scores["dnsmos_p808"] = self._p808.score(looped, windows)
        if self._plc is not None:
            scores["plcmos"], noise["plcmos"] = self._plc.score(samples)
        return {name: scores[name] for name in PREDICTED if name in self._metrics}, noise

    def _compared(self, samples: Float32, clip: Clip) -> tuple[dict[str, float], dict[str, str]]:
        """Return the scores against the clip's reference, and why some are missing."""
        metrics = [metric for metric in INTRUSIVE if metric in self._metrics]
        reference = clip.reference if isinstance(clip, ComparedClip) else None
        if reference is None:
            missing = clip.missing if isinstance(clip, ComparedClip) else None
            return {}, dict.fromkeys(metrics, f"reference_{missing}" if missing else NO_REFERENCE)
        clean = np.frombuffer(reference.samples, dtype="<f4")
        reason = unscorable(clean, reference.sample_rate)
        if reason is not None:
            return {}, dict.fromkeys(metrics, f"reference_{reason}")
        scores: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for metric in metrics:
            score = _INTRUSIVE[metric](resampled(clean, reference.sample_rate), samples)
            if isinstance(score, str):
                reasons[metric] = score
            else:
                scores[metric] = score
        return scores, reasons


def resampled(samples: Float32, sample_rate: int) -> Float32:
    """Return mono samples at 16 kHz, by soxr's HQ, as ``librosa.load(path, sr=16000)`` does it."""
    if sample_rate == RATE:
        return samples
    import soxr

    converted: Float32 = soxr.resample(samples, sample_rate, RATE, quality="HQ")
    # librosa gives ceil(n * ratio) samples; soxr itself rounds.
    length = -(-len(samples) * RATE // sample_rate)
    return np.pad(converted[:length], (0, max(0, length - len(converted))))


class MosSystem:
    """Implements SpeechSystem, so that workers, time-outs and restarts are those of the rest.

    Its answers' texts are qualities as JSON.
    """

    def __init__(self, metrics: Sequence[str]) -> None:
        """Open the models; raises MissingDependency, InvalidInput."""
        self._models = MosModels(metrics)

    def answer(self, clip: Clip) -> Answer:
        """Return the quality of a clip."""
        return Answer(text=render_quality(self._models.quality(clip)))

    def close(self) -> None:
        """Do nothing: the models end with the process."""
