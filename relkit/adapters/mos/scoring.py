"""One worker's scorer: a set of sessions, and a quality for every clip that is handed over."""

from collections.abc import Sequence

import numpy as np

from relkit.adapters.mos.dnsmos import P808Model, P835Model
from relkit.adapters.mos.intrusive import pesq_score, stoi_score
from relkit.adapters.mos.models import MODELS_OF, P835, require
from relkit.adapters.mos.plcmos import PlcModel
from relkit.adapters.mos.spectra import RATE, Float32
from relkit.domain.quality import INTRUSIVE, PREDICTED, ComparedClip, Quality
from relkit.domain.utterances import Answer, Clip
from relkit.records.quality import render_quality
from relkit.rules.loudness import measure_level
from relkit.rules.quality import NO_REFERENCE, plan_windows, unscorable, unscored

_INTRUSIVE = {"pesq": pesq_score, "stoi": stoi_score}


class MosModels:
    """The models behind some metrics, opened once and used by one process."""

    def __init__(self, metrics: Sequence[str]) -> None:
        """Open them; raises MissingDependency, InvalidInput."""
        require(metrics)
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
        found: dict[str, float] = {}
        noise: dict[str, float] = {}
        if self._p835 is not None:
            period = len(samples) if windows.length > len(samples) else None
            found |= self._p835.score(looped, windows, period)
        if self._p808 is not None:
            found["dnsmos_p808"] = self._p808.score(looped, windows)
        if self._plc is not None:
            heard = self._plc.score(samples)
            found["plcmos"] = heard.value
            noise["plcmos"] = heard.noise
        return {name: found[name] for name in PREDICTED if name in self._metrics}, noise

    def _compared(self, samples: Float32, clip: Clip) -> tuple[dict[str, float], dict[str, str]]:
        """Return the scores against the clip's reference, and why some are missing."""
        wanted = [metric for metric in INTRUSIVE if metric in self._metrics]
        reference = clip.reference if isinstance(clip, ComparedClip) else None
        if reference is None:
            missing = clip.missing if isinstance(clip, ComparedClip) else None
            return {}, dict.fromkeys(wanted, f"reference_{missing}" if missing else NO_REFERENCE)
        clean = np.frombuffer(reference.samples, dtype="<f4")
        reason = unscorable(clean, reference.sample_rate)
        if reason is not None:
            return {}, dict.fromkeys(wanted, f"reference_{reason}")
        scores: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for metric in wanted:
            found = _INTRUSIVE[metric](resampled(clean, reference.sample_rate), samples)
            if isinstance(found, str):
                reasons[metric] = found
            else:
                scores[metric] = found
        return scores, reasons


def resampled(samples: Float32, sample_rate: int) -> Float32:
    """Return mono samples at 16 kHz, by soxr's HQ, as ``librosa.load(path, sr=16000)`` does it."""
    if sample_rate == RATE:
        return samples
    import soxr

    found: Float32 = soxr.resample(samples, sample_rate, RATE, quality="HQ")
    # librosa gives ceil(n * ratio) samples; soxr itself rounds.
    wanted = -(-len(samples) * RATE // sample_rate)
    return np.pad(found[:wanted], (0, max(0, wanted - len(found))))


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
