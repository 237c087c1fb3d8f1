"""How the results of a gate are put into words for a release manager.

How numbers and slices are put before people: order, percent signs, intervals.

Text from data made harmless for the place it goes to: each format has its own traps.
"""

import re
from collections.abc import Sequence

from relkit.core.slices import OVERALL
from relkit.core.values import Estimate

NONE = "-"


_LARGEST_SHARE = 9.995


def number(value: float | None, unit: str) -> str:
    """Return a value for people: fractions in percent, times in ms, "-" for none."""
    if value is None:
        return NONE
    if unit == "fraction":
        if value >= _LARGEST_SHARE:
            return "> 999 %"
        return f"{100 * value:.1f} %"
    if unit == "ms":
        return f"{value:.0f} ms"
    return f"{value:.3g}"


def interval(estimate: Estimate) -> str:
    """Return the 95 % interval for people, "-" where there is none; open ends are shown as such."""
    if estimate.low is None and estimate.high is None:
        return NONE
    low = "…" if estimate.low is None else number(estimate.low, estimate.unit)
    high = "…" if estimate.high is None else number(estimate.high, estimate.unit)
    return f"{low} to {high}"


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


OPINION = "mos"
"""The unit of (predicted) mean opinion scores, 1 to 5."""


def difference_text(value: float | None, was: float | None, unit: str) -> str:
    """Return the signed difference: points for fractions, ms for times; empty for none."""
    if value is None or was is None:
        return ""
    change = value - was
    if unit == "fraction":
        return _signed(f"{100 * change:+.1f}") + " points"
    if unit == "ms":
        return _signed(f"{change:+.0f}") + " ms"
    if unit == OPINION:
        return _signed(f"{change:+.2f}")
    return _signed(f"{change:+.3g}")


def _signed(text: str) -> str:
    if not text.strip("+-0."):
        return "±0"
    return text.replace("-", "\N{MINUS SIGN}")


def safe(text: str) -> str:
    """Return text from data without control characters, so that it cannot steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def columns(rows: Sequence[Sequence[str]], *, left: tuple[int, ...] = (0,)) -> str:
    """Return rows as aligned columns: those numbered in ``left`` to the left, others right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


# A colon is special only before a character (":emoji:", "https://"), so the others stay readable.
# A dot is only after "www", which GitHub makes a link of.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|~$@&]|:(?=\S)|(?<=www)\.")


# GitHub looks for these in rendered text, where no backslash is left: a person would be notified,
# or an issue linked. A zero-width space after the sign ends the search (Renovate does the same).
_REFERENCE = re.compile(r"\\[@#]|\bGH(?=-)", re.IGNORECASE)


_APART = "&#8203;"


# What is no character of XML 1.0 (section 2.2), and CR, which a parser turns into a line feed.
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


_OLD_COMMAND = re.compile(r"##(?=\[)")


def flat(text: str) -> str:
    """Return text on one line: control and format characters, and what is none, become spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def markdown(text: str) -> str:
    """Return text that stays text in Markdown, in a table cell, too."""
    return _MARKDOWN.sub(r"\\\g<0>", flat(text))


def github_markdown(text: str) -> str:
    """Return text that stays text on GitHub, where it can mention nobody and link no issue."""
    return _REFERENCE.sub(lambda found: found.group() + _APART, markdown(text))


def code(text: str) -> str:
    """Return text for a code span: back-ticks and line ends have no escape there."""
    return "".join(char if char.isprintable() and char not in "`|" else " " for char in text)


def command_data(text: str) -> str:
    """Return text for the message of a GitHub workflow command.

    As ``escapeData`` of actions/toolkit, after control characters have become spaces.
    """
    return flat(text).replace("%", "%25")


def command_property(text: str) -> str:
    """Return text for a property (``title=``) of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def log_line(text: str) -> str:
    """Return one line that a GitHub runner takes for no command, wherever it is printed.

    A runner acts on ``::name::`` at the start of a line and on ``##[name]`` anywhere in it.
    """
    line = _OLD_COMMAND.sub("## ", flat(text))
    return line if not line.lstrip().startswith("::") else line.replace("::", ": :", 1)


def xml_text(text: str) -> str:
    """Return text whose every character XML 1.0 allows; the others become U+FFFD."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def csv_cell(text: str) -> str:
    """Return text that a spreadsheet shows and does not compute (OWASP, CSV injection)."""
    plain = flat(text)
    return (
        f"'{plain}" if plain.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else plain
    )
