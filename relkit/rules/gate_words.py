"""How the results of a gate are put into words for a release manager."""

from relkit.domain.slices import OVERALL
from relkit.rules.presenting import number

_SMALL = 0.05
"""Points below this are shown with two digits that say something."""

_LABELS = {
    "wer": "WER",
    "wer_raw": "raw WER",
    "wer_capped": "WER",
    "cer": "CER",
    "ser": "SER",
    "mer": "MER",
    "wil": "WIL",
    "rtf": "RTF",
    "rtfx": "RTFx",
    "latency_ms": "latency",
    "first_byte_ms": "time to the first byte",
    "first_audio_ms": "time to the first audio",
    "leading_silence_ms": "leading silence",
    "dnsmos_sig": "predicted MOS of the speech",
    "dnsmos_bak": "predicted MOS of the background",
    "dnsmos_ovrl": "predicted MOS",
    "dnsmos_p808": "predicted MOS (P.808)",
    "plcmos": "predicted MOS after packet loss",
}


def metric_words(name: str) -> str:
    """Return a metric for people: ``WER``, ``p95 latency``; else its own name."""
    base, _, statistic = name.partition(".")
    label = _LABELS.get(base, base.replace("_", " "))
    return f"{statistic} {label}" if statistic else label


def where_words(key: str) -> str:
    """Return `` on accent=scottish``, or nothing for the whole."""
    return "" if key == OVERALL else f" on {key}"


def amount(value: float, unit: str) -> str:
    """Return a difference for people, without its sign: points for fractions."""
    size = abs(value)
    if unit != "fraction":
        return number(size, unit)
    points = 100 * size
    return f"{points:.1f} points" if points == 0 or points >= _SMALL else f"{points:.2g} points"


def _end(value: float | None, unit: str) -> str:
    if value is None:
        return "…"
    if unit == "fraction":
        return (
            f"{100 * value:.1f}"
            if value == 0 or abs(100 * value) >= _SMALL
            else f"{100 * value:.2g}"
        )
    return number(value, unit) if value >= 0 else f"-{number(-value, unit)}"


def span(low: float | None, high: float | None, unit: str) -> str:
    """Return `` (0.4 to 3.8)``, or nothing where there is no interval."""
    if low is None and high is None:
        return ""
    return f" ({_end(low, unit)} to {_end(high, unit)})"


def allowed(value: float, unit: str) -> str:
    """Return a bound of a difference for people: ``1.0`` points, ``50 ms``."""
    return _end(value, unit)


def limit(value: float, unit: str) -> str:
    """Return a bound of a value for people: ``20 %``, ``800 ms``."""
    return f"{100 * value:.4g} %" if unit == "fraction" else number(value, unit)


_PLURALS = {"id": "texts", "cluster": "clusters"}


def clusters_words(count: int, column: str) -> str:
    """Return ``8 voices`` for a cluster column ``voice``."""
    if count == 1:
        return f"1 {_PLURALS.get(column, f'{column}s')[:-1]}"
    return f"{count:,} {_PLURALS.get(column, column if column.endswith('s') else f'{column}s')}"


def worse_or_better(worsening: float) -> str:
    """Return ``worse`` or ``better``."""
    return "worse" if worsening > 0 else "better"
