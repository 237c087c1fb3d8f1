"""PESQ and STOI of a clip against its reference recording, by the libraries pesq and pystoi."""

import math
import warnings

from relkit.adapters.mos.spectra import RATE, Float32

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
