"""Signs for clusters, drawn so that anyone can draw them again, and what they do to sums."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relkit.rules.cluster_sums import FloatArray, IntArray

ALL_UP_TO = 12
"""Up to so many clusters all sign vectors are used."""
FLIPS = 10_000
_STREAM = "relkit-sign-flip/1\n"
_EXACT_IN_FLOAT32 = 2.0**24
_CELLS = 1 << 21  # of one chunk: 16 MiB
_SPARSE = 64  # a gather per row costs about this many multiplications of a dense product


def packed_flips(
    clusters: int, seed: str, flips: int = FLIPS
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return the flips (F, ceil(C / 8)) as bits, least significant first: 1 is a changed sign.

    Up to 12 clusters all 2^C, flip k changing cluster c where bit c of k is set; else 10,000: flip
    0 changes nothing, the others are read in order from SHAKE-256 over the text
    ``relkit-sign-flip/1``, a line feed and the seed. ``flips`` other than 10,000 are the first ones
    of a shorter or longer stream.
    """
    width = (clusters + 7) // 8
    if clusters <= ALL_UP_TO:
        numbers = np.arange(1 << clusters, dtype="<u2")
        return numbers.view(np.uint8).reshape(-1, 2)[:, :width].copy()
    drawn = hashlib.shake_256((_STREAM + seed).encode()).digest(width * (flips - 1))
    rows = np.frombuffer(drawn, dtype=np.uint8).reshape(flips - 1, width)
    return np.concatenate([np.zeros((1, width), dtype=np.uint8), rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Differences D of a family: one row (R,) per slice and cluster, sorted by slice.

    ``slice`` (R,) numbers the ``slices`` from 0, ``cluster`` (R,) the ``clusters`` from 0.
    """

    slices: int
    clusters: int
    slice: IntArray
    cluster: IntArray
    value: FloatArray


def flipped_sums(differences: Differences, packed: np.ndarray) -> Iterator[FloatArray]:
    """Yield sum_c sign_c D_cs (flips of the chunk, S) for the flips in order, in bounded chunks.

    In single precision where that is exact: whole numbers whose absolute sum stays under 2^24.
    """
    value = differences.value
    whole = bool(np.all(value == np.round(value)))
    exact = whole and float(np.abs(value).sum()) < _EXACT_IN_FLOAT32
    dtype: type[np.floating] = np.float32 if exact else np.float64
    cells = differences.clusters * differences.slices
    nonzero = np.flatnonzero(value)
    if len(nonzero) * _SPARSE < cells:
        yield from _sparse(differences, packed, nonzero, dtype)
        return
    dense = np.zeros((differences.clusters, differences.slices), dtype=dtype)
    dense[differences.cluster, differences.slice] = value
    step = max(1, _CELLS // max(differences.clusters, differences.slices))
    for first in range(0, len(packed), step):
        signs = _signs(packed[first : first + step], differences.clusters).astype(dtype)
        yield (signs @ dense).astype(np.float64)


def _sparse(
    differences: Differences,
    packed: np.ndarray,
    nonzero: IntArray,
    dtype: type[np.floating],
) -> Iterator[FloatArray]:
    """Yield the same from the rows that are not 0 only."""
    group = differences.slice[nonzero]
    cluster = differences.cluster[nonzero]
    value = differences.value[nonzero].astype(dtype)
    present, starts = np.unique(group, return_index=True)
    step = max(1, _CELLS // max(len(nonzero), differences.clusters, differences.slices, 1))
    for first in range(0, len(packed), step):
        signs = _signs(packed[first : first + step], differences.clusters)
        sums = np.zeros((len(signs), differences.slices))
        if len(nonzero):
            sums[:, present] = np.add.reduceat(signs[:, cluster] * value, starts, axis=1)
        yield sums


def _signs(packed: np.ndarray, clusters: int) -> np.ndarray:
    """Return signs (F, C) as +-1."""
    bits = np.unpackbits(packed, axis=1, count=clusters, bitorder="little")
    return 1 - 2 * bits.astype(np.int8)
