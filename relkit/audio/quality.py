"""What of a clip is scored, what cannot be, and what a run's scores add up to.

A clip's quality as a line of JSON: what a worker answers, and what the cache keeps.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from relkit.audio.types import NoiseFloor, Quality
from relkit.core.codec import encode, parse, parse_json
from relkit.core.metrics import INTRUSIVE


def render_quality(quality: Quality) -> str:
    """Return a quality as one line; raises ValueError for NaN, which is never a score."""
    return json.dumps(encode(quality), allow_nan=False)


def parse_quality(text: str, *, source: str) -> Quality:
    """Return a quality; raises InvalidInput."""
    return parse(Quality, parse_json(text, source=source), source=source)


RATE = 16_000
"""Sample rate in Hz of the models."""

WINDOW_S = 9.01

WINDOW = int(WINDOW_S * RATE)
"""Samples of a window: 144,160."""

MIN_S = 0.1
"""Shortest clip that is scored, in s: a shorter one, looped to 9 s, is a buzz and not speech."""

SILENT_PEAK = 1.0 / 32768.0
"""A clip without a sample beyond one step of 16 bits is digital silence."""

PROTOCOL = (
    "level as recorded, nothing normalised; other rates resampled to 16 kHz (soxr HQ), channels "
    "averaged; windows of 9.01 s every 1 s, shorter clips looped; the windows speechmos 0.0.1.1 "
    "uses, those it drops by rounding left out"
)
"""What was done to the audio before it was scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a clip that are averaged.

    ``starts`` in samples of the looped clip, each phase of a loop once, and ``weights`` how often
    speechmos scores the same samples; ``length`` of the looped clip. ``dropped`` counts windows of
    whole audio that speechmos leaves out.
    """

    starts: tuple[int, ...]
    weights: tuple[int, ...]
    length: int
    dropped: int

    @property
    def used(self) -> int:
        """Windows that speechmos averages."""
        return sum(self.weights)


def plan_windows(samples: int) -> Windows:
    """Return the windows speechmos 0.0.1.1 scores of a clip of so many samples, at least one.

    It doubles a clip until it holds a window, moves on by 1 s, and cuts ``int((i + 9.01) * rate)``,
    which is one sample short where the sum rounds down: such a window it passes over in silence. To
    give its numbers, so do we, and count them. Raises ValueError for an empty clip, at which the
    library never returns.
    """
    if samples < 1:
        raise ValueError("an empty clip has no windows")
    length = samples
    while length < WINDOW:
        length *= 2
    hops = int(math.floor(length / RATE) - WINDOW_S) + 1
    phases: Counter[int] = Counter()
    first: dict[int, int] = {}
    dropped = 0
    for i in range(hops):
        start, stop = i * RATE, int((i + WINDOW_S) * RATE)
        if min(stop, length) - start < WINDOW:
            dropped += 1
            continue
        phase = start % samples if length > samples else start
        phases[phase] += 1
        first.setdefault(phase, start)
    return Windows(
        starts=tuple(first.values()),
        weights=tuple(phases[phase] for phase in first),
        length=length,
        dropped=dropped,
    )


def unscorable(samples: NDArray[np.float32], sample_rate: int) -> str | None:
    """Return why a clip gets no score: ``empty``, ``not_finite``, ``silent``, ``too_short``."""
    if len(samples) == 0:
        return "empty"
    if not np.isfinite(samples).all():
        return "not_finite"
    if float(np.max(np.abs(samples))) <= SILENT_PEAK:
        return "silent"
    if Fraction(len(samples), sample_rate) < Fraction(str(MIN_S)):
        return "too_short"
    return None


def unscored(metrics: Sequence[str], reason: str) -> Quality:
    """Return what is known of a clip that gets no score at all."""
    return Quality(reasons=dict.fromkeys(metrics, reason))


def bases_of(metrics: Iterable[str], available: Sequence[str]) -> tuple[str, ...]:
    """Return the quality metrics behind names such as ``dnsmos_ovrl.p10``, in their own order."""
    named = {name.partition(".")[0] for name in metrics}
    return tuple(name for name in available if name in named)


def level_percentiles(qualities: Iterable[Quality]) -> dict[str, float]:
    """Return p10, p50 and p90 of the active levels in dBFS; empty without a level."""
    levels = [quality.level.active_dbfs for quality in qualities if quality.level is not None]
    if not levels:
        return {}
    shares = {"p10": 10, "p50": 50, "p90": 90}
    return {name: float(np.percentile(levels, share)) for name, share in shares.items()}


def noise_floor(
    metrics: Sequence[str],
    qualities: Iterable[Quality],
    repeated: Sequence[tuple[Quality, Quality]],
) -> dict[str, NoiseFloor]:
    """Return the noise floor by metric, for those that were scored twice or know their own.

    The spread of a score x and its repeat y is the root mean square of (x - y) / sqrt 2.
    """
    spreads: dict[str, list[float]] = {}
    for quality in qualities:
        for name, value in quality.noise.items():
            spreads.setdefault(name, []).append(value)
    floors = {}
    for metric in metrics:
        pairs = [
            (before.scores[metric], after.scores[metric])
            for before, after in repeated
            if metric in before.scores and metric in after.scores
        ]
        squares = [(x - y) ** 2 / 2.0 for x, y in pairs]
        parts = [math.sqrt(sum(squares) / len(squares))] if squares else []
        parts += [float(np.median(spreads[metric]))] if metric in spreads else []
        if parts:
            floors[metric] = NoiseFloor(sd=max(parts), repeated=len(pairs))
    return floors


def reasons_counted(
    metrics: Sequence[str], qualities: Iterable[Quality]
) -> dict[str, Mapping[str, int]]:
    """Return by metric and reason how many clips have no score; ``no_reference`` is no reason."""
    counted: dict[str, Counter[str]] = {}
    for quality in qualities:
        for metric in metrics:
            reason = quality.reasons.get(metric)
            if reason is not None and not (metric in INTRUSIVE and reason == NO_REFERENCE):
                counted.setdefault(metric, Counter())[reason] += 1
    return {metric: dict(sorted(counts.items())) for metric, counts in sorted(counted.items())}


NO_REFERENCE = "no_reference"
"""A clip without a reference recording, which an intrusive score needs."""
