"""PLCMOS v2 (Diener et al. 2023) with the model of speechmos.

The network hears a clip through the ears of a rater, a random vector of 64 numbers, and speechmos
averages 15 raters drawn anew each time: the same clip scores differently by about 0.03. It also
runs the whole network for each of them, though only the last layers know the rater. Here the clip
is heard once, by 960 raters that are always the same: the score is the library's expected value to
an eighth of its spread, and the same in every run.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from relkit.adapters.mos.models import PLCMOS, open_session, read_model
from relkit.adapters.mos.onnx_parts import cut
from relkit.adapters.mos.spectra import Float32, plc_spectrum

RATERS = 15
"""Raters that speechmos averages."""

REPEATS = 64
"""Repeats of speechmos's measurement whose average is the score."""

_SEED = 20230701
_EMBEDDING = 64
_AUDIO, _RATER, _SCORE = "degraded_audio", "rater_embed", "plcmos"
_HEARD = ("onnx::Concat_335", "onnx::Concat_337")
_HIDDEN = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PlcScore:
    """A score, the spread (sd) of one measurement of 15 raters, and the score's own noise."""

    value: float
    spread: float

    @property
    def noise(self) -> float:
        """The standard error of the average of all repeats."""
        return self.spread / math.sqrt(REPEATS)


class PlcModel:
    """PLCMOS of one process."""

    def __init__(self) -> None:
        """Read the model and open its two parts."""
        model = read_model(PLCMOS)
        heard = dict.fromkeys(_HEARD, (None, _HIDDEN))
        ears = cut(model, inputs={_AUDIO: (None, 1, None, 257)}, outputs=heard)
        judged = {_RATER: (None, _EMBEDDING), **heard}
        self._ears = open_session(ears)
        self._judge = open_session(cut(model, inputs=judged, outputs={_SCORE: (None,)}))

    def score(self, samples: Float32) -> PlcScore:
        """Return the score of audio at 16 kHz, not empty."""
        heard = self._ears.run(list(_HEARD), {_AUDIO: plc_spectrum(samples)[None, None]})
        raters = _raters()
        same = {
            name: np.broadcast_to(value, (len(raters), _HIDDEN)).copy()
            for name, value in zip(_HEARD, heard, strict=True)
        }
        scores = self._judge.run([_SCORE], {_RATER: raters, **same})[0].astype(np.float64)
        repeats = scores.reshape(REPEATS, RATERS).mean(axis=1)
        return PlcScore(value=float(repeats.mean()), spread=float(repeats.std(ddof=1)))


@cache
def _raters() -> Float32:
    """Return the raters (960, 64), standard normal as speechmos draws them."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    return generator.standard_normal((RATERS * REPEATS, _EMBEDDING)).astype(np.float32)
