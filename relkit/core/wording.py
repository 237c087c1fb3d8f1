"""Text from data made harmless for the place it goes to: each format has its own traps.

Numbers, intervals, differences, counts and times as people read them, in every format alike.

Fractions are shown in percent and differences of fractions in points; times in ms. A measured
number has a fixed number of decimals, and two digits that say something where it is small: 0.0004
is "0.04 %" in a terminal, in Markdown, in HTML and in the reason of a decision. A number that
people set (a limit, a margin) is shown with the digits it was set with. A minus sign is "-".
``more`` are decimals beyond the usual ones, see :func:`digits_apart`.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relkit.core.metrics import PREDICTED, Better
from relkit.core.slices import OVERALL

NONE = "-"

OPEN = "…"
"""Stands for the end of an interval that nobody can claim."""

OPINION = "mos"
"""The unit of (predicted) mean opinion scores, 1 to 5."""

_DECIMALS = {
    "fraction": 1,
    "ms": 0,
    OPINION: 2,
    "dBFS": 1,
    "s": 0,
    "minutes": 1,
    "hours": 2,
    "per thousand": 1,
}

_SIGNIFICANT = 3
"""Digits of a number without a unit of its own: rtf, rtfx."""

_MOST_MORE = 3
"""Decimals that a number has at the most beyond the usual ones of its unit."""

_LARGEST_SHARE = 9.995
_UNITS = {"fraction": " %", "ms": " ms", "dBFS": " dBFS", "s": " s", "hours": " hours"}
_POINTS = {"fraction": " points", "ms": " ms"}
ChangeDirection = Literal["worse", "better", "the same"]


def number(value: float | None, unit: str, *, more: int = 0) -> str:
    """Return a measured value with its unit, "-" for none."""
    return NONE if value is None else _digits(value, unit, more) + _UNITS.get(unit, "")


def limit(value: float, unit: str, *, more: int = 0) -> str:
    """Return a limit on a value with its unit: ``2.5 %``, ``800 ms``."""
    return _digits(value, unit, max(more, _digits_set(value, unit))) + _UNITS.get(unit, "")


def interval(low: float | None, high: float | None, unit: str, *, more: int = 0) -> str:
    """Return an interval with its unit once: ``5.0 to 20.0 %``, ``231 ms to …``; "-" for none."""
    if high is None:
        return NONE if low is None else f"{number(low, unit, more=more)} to {OPEN}"
    return _ends(low, high, unit, more) + _UNITS.get(unit, "")


def amount(difference: float, unit: str, *, more: int = 0) -> str:
    """Return the size of a difference, without its sign: ``2.1 points``, ``33 ms``."""
    return _digits(abs(difference), unit, more) + _POINTS.get(unit, "")


def margin(difference: float, unit: str, *, more: int = 0) -> str:
    """Return a difference that people set: ``1.25 points``, ``50 ms``."""
    return _digits(difference, unit, max(more, _digits_set(difference, unit))) + _POINTS.get(
        unit, ""
    )


def signed(difference: float | None, unit: str, *, more: int = 0) -> str:
    """Return a difference with its sign, ``+2.1 points``; "±0" where none is to be seen."""
    if difference is None:
        return NONE
    text = _with_sign(difference, unit, more)
    return (text if _says_something(text) else "±0") + _POINTS.get(unit, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordedChange:
    """How a value changed, in its own direction: candidate less baseline, with the sign of each.

    ``cell`` carries the unit (``-4.2 points``), ``interval`` stands beside it and carries none
    (``-7.6 to +0.4``); it is "-" where there is none. ``direction`` says what the change is worth.
    """

    direction: ChangeDirection
    cell: str
    interval: str

    @property
    def sentence(self) -> str:
        """``worse: +2.1 points (+0.4 to +3.8)``, ``the same (-0.4 to +0.4)``."""
        by = "" if self.direction == "the same" else f": {self.cell}"
        return self.direction + by + ("" if self.interval == NONE else f" ({self.interval})")


def change(
    worsening: float,
    low: float | None,
    high: float | None,
    unit: str,
    *,
    better: Better = "down",
    more: int = 0,
) -> WordedChange:
    """Return a worsening and its ends as the change of the value itself.

    Where more is better (``better``) a worsening of 0.2 is a change by -0.2.
    """
    direction: ChangeDirection = "worse" if worsening > 0 else "better"
    if not _says_something(_digits(worsening, unit, more)):
        direction = "the same"
    if better == "up":
        worsening = -worsening
        low, high = None if high is None else -high, None if low is None else -low
    ends = [OPEN if end is None else _with_sign(end, unit, more) for end in (low, high)]
    return WordedChange(
        direction=direction,
        cell="no change" if direction == "the same" else signed(worsening, unit, more=more),
        interval=NONE if low is None and high is None else " to ".join(ends),
    )


def _with_sign(difference: float, unit: str, more: int) -> str:
    text = _digits(difference, unit, more)
    return f"+{text}" if difference > 0 and _says_something(text) else text


def digits_apart(values: Iterable[float | None], unit: str) -> int:
    """Return how many more decimals tell numbers apart: 1.04 is not "1.0, allowed 1.0"."""
    different = {value for value in values if value is not None}
    for more in range(_MOST_MORE):
        if len({_digits(value, unit, more) for value in different}) == len(different):
            return more
    return _MOST_MORE


def tick(value: float, unit: str) -> str:
    """Return the label of a tick on an axis, as short as it can be: ``20 %``."""
    return f"{100 * value if unit == 'fraction' else value:g}{_UNITS.get(unit, '')}"


def times(ratio: float | None) -> str:
    """Return a ratio of rates: ``1.31 times``, "-" for none."""
    return NONE if ratio is None else f"{_digits(ratio, 'ratio', 0)} times"


def p_value(p: float | None) -> str:
    """Return a p-value with three decimals: ``0.031``, ``< 0.001``; "-" for none."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"  # noqa: PLR2004 - rounds to 0.000


def percent(fraction: float) -> str:
    """Return a share that was set, such as that of traffic: ``5 %``, ``0.5 %``."""
    return f"{100 * fraction:.6g} %"


def chance(probability: float) -> str:
    """Return a chance in whole percent: it is no more precise than that."""
    return f"{100 * probability:.0f} %"


def count(value: int) -> str:
    """Return a count: ``1,204``."""
    return f"{value:,}"


def count_change(value: int) -> str:
    """Return how many more or fewer: ``+1,204``, ``-3``, ``+0``."""
    return f"{value:+,}"


def each_asked(items: int, repeats: int) -> str:
    """Return how often so many items were asked, before a count of answers; empty for one time."""
    return f"{counted(items, 'item')}, each asked {count(repeats)} times: " if repeats > 1 else ""


def counted(value: int, noun: str) -> str:
    """Return a count of something: ``1 utterance``, ``1,204 utterances``."""
    return f"{value:,} {noun}{'' if value == 1 or noun.endswith('s') else 's'}"


_CLUSTERS = {"id": "text"}


def clusters(value: int, column: str) -> str:
    """Return ``8 voices`` for a cluster column ``voice``; each utterance is a text of its own."""
    return counted(value, _CLUSTERS.get(column, column))


def clustering(
    column: str, prompts: int | None, parts: int | None = None, *, crossed: str | None = None
) -> str:
    """Return by what numbers are clustered: empty where it is the ``column`` alone.

    ``prompts`` counts those that clusters share (None: not known), ``parts`` the clusters.
    ``crossed`` is the column of prompts where one was chosen, ``(none)`` for none.
    """
    if prompts is None:
        return f"clustered by {column} alone: these results do not say which prompts are shared"
    if crossed == "(none)":
        return f"clustered by {column} alone, as chosen: numbers hold for the texts of this data"
    if prompts == 0:
        lacking = f"too few values of {crossed} have several of it"
        return "" if crossed is None else f"clustered by {column} alone: {lacking}"
    of = "" if parts is None else f"{clusters(parts, column)}, "
    if crossed is not None:
        shared = f"{counted(prompts, 'shared value')} of {crossed}"
        return f"clustered by {column} and {crossed}: {of}{shared}"
    return f"clustered by {column} and prompt: {of}{counted(prompts, 'shared prompt')}"


_DURATIONS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def duration(seconds: float) -> str:
    """Return ``26 hours`` or ``3 days``: in the largest unit with at least two of it."""
    for name, size in _DURATIONS:
        if seconds >= 2 * size:
            return f"{_digits(seconds / size, 'ratio', 0)} {name}"
    return f"{_digits(seconds, 'ratio', 0)} seconds"


def lasted(seconds: float) -> str:
    """Return how long something has lasted, in whole minutes: it never rounds up to a bound."""
    return duration(seconds // 60 * 60 or seconds)


def setting_change(setting: str, before: object, after: object) -> str:
    """Return a changed setting: ``beam_size 1 -> 5``; where neither value is shown, its name."""
    if before is None and after is None:
        return f"{setting} differs"
    shown = (
        "none"
        if value is None
        else short_digest(text)
        if _DIGEST.match(text := str(value))
        else text
        for value in (before, after)
    )
    return f"{setting} {' -> '.join(shown)}"


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}$")


def short_digest(digest: str) -> str:
    """Return a digest as people compare it: the algorithm and twelve characters."""
    algorithm, sign, value = digest.partition(":")
    return f"{algorithm}{sign}{value[:12]}" if sign else digest[:12]


def metric_name(name: str) -> str:
    """Return a metric's own name; of opinion scores with who holds the opinion."""
    predicted = name.partition(".")[0] in PREDICTED
    return f"{name} (predicted MOS)" if predicted else name


def on_slice(key: str) -> str:
    """Return `` on accent=scottish``, or nothing for the whole."""
    return "" if key == OVERALL else f" on {key}"


def _digits(value: float, unit: str, more: int) -> str:
    """Return a number without its unit."""
    if not math.isfinite(value):
        return f"{value}"
    if unit == "fraction":
        value *= 100
        if value >= 100 * _LARGEST_SHARE:
            return "> 999"
    if unit in _DECIMALS:
        least = _DECIMALS[unit] + more
        decimals = least
        if value and abs(value) < 10.0 ** (1 - _DECIMALS[unit]):
            decimals = max(least, 1 - math.floor(math.log10(abs(value))) + more)
            decimals = min(decimals, _DECIMALS[unit] + _MOST_MORE)
    else:
        least, decimals = 0, _SIGNIFICANT - 1 + more
        if value:
            decimals = max(0, decimals - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    while decimals > least and text.endswith("0"):
        text, decimals = text[:-1].removesuffix("."), decimals - 1
    return text if _says_something(text) else text.removeprefix("-")


def _digits_set(value: float, unit: str) -> int:
    """Return how many more decimals a number was set with; 0 for one that was computed."""
    shown = 100 * value if unit == "fraction" else value
    if not abs(shown) < 100 * _LARGEST_SHARE:
        return 0
    exact = (
        more
        for more in range(_MOST_MORE + 1)
        if math.isclose(float(_digits(value, unit, more)), shown, rel_tol=1e-9)
    )
    return next(exact, 0)


def _says_something(text: str) -> bool:
    return any(char in "123456789" for char in text)


def _ends(low: float | None, high: float | None, unit: str, more: int) -> str:
    if low is None and high is None:
        return NONE
    return " to ".join(OPEN if end is None else _digits(end, unit, more) for end in (low, high))


SHORT = 40
"""Characters of a name or value from data in a line or a table with others."""


def safe(text: str, limit: int | None = None) -> str:
    """Return text from data without control characters, so that it cannot steer a terminal.

    Of a text over ``limit`` characters the beginning is returned.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


WIDTH = 80
"""Characters of a line in a terminal."""

_LEAST_TEXT = 30
"""Where less than this is left for a last column of text, the text goes below its row."""

_SHORT_TEXT = 20
"""Up to this long a last column is never folded: the first one is."""


def columns(
    rows: Sequence[Sequence[str]], *, to_left: tuple[int, ...] = (0,), indent: int = 0
) -> str:
    """Return rows as aligned columns: those numbered in ``to_left`` to the left, others right.

    Where they are wider than a terminal, a last column of text is folded, in place or below its
    row, and a first cell that is still too long has a line of its own. ``indent`` is in spaces.
    """
    full = WIDTH - indent
    last = len(rows[0]) - 1
    widths = [max(len(row[i]) for row in rows) for i in range(last + 1)]
    left, below = {i % len(widths) for i in to_left}, False
    if last in left and _across(widths) > full:
        short = widths[last] <= _SHORT_TEXT and _across([0, *widths[1:]]) <= full
        room = widths[last] if short else full - _across(widths[:last]) - 2
        below = not short and last > 0 and room < _LEAST_TEXT
        widths[last] = 0 if below else room
    first = full - _across([0, *widths[1:last], *([] if below else widths[last:])])
    widths[0] = min(widths[0], max(0, first))
    lines = []
    for row in rows:
        fold = full - 2 if below else max(1, widths[last])
        text = _wrapped(row[last], fold)
        cells = [*row[:last], *([] if below else [text[0] if last in left else row[last]])]
        if len(cells[0]) > widths[0]:
            lines.append(cells[0])
            cells[0] = ""
        aligned = (
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=False))
        )
        lines.append("  ".join(aligned).rstrip())
        if last in left:
            start = 2 if below else _across(widths[:last]) + 2
            lines += [" " * start + part for part in (text if below else text[1:]) if part]
    return "\n".join(" " * indent + line for line in lines)


def _across(widths: Sequence[int]) -> int:
    """Return how wide columns are, with the two spaces between them."""
    return sum(widths) + 2 * (len(widths) - 1)


# A colon is special only before a character (":emoji:", "https://"), so the others stay readable.
# A dot is only after "www", which GitHub makes a link of.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|~$@&]|:(?=\S)|(?<=www)\.")

# GitHub looks for these in rendered text, where no backslash is left: a person would be notified,
# or an issue linked. A zero-width space after the sign ends the search (Renovate does the same).
_REFERENCE = re.compile(r"\\[@#]|\bGH(?=-)", re.IGNORECASE)
_APART = "&#8203;"

# What is no character of XML 1.0 (section 2.2), and CR, which a parser turns into a line feed.
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OLD_COMMAND = re.compile(r"##(?=\[)")


def flat(text: str) -> str:
    """Return text on one line: control and format characters, and what is none, become spaces."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)


def markdown(text: str) -> str:
    """Return text that stays text in Markdown, in a table cell, too."""
    return _MARKDOWN.sub(r"\\\g<0>", flat(text))


def github_markdown(text: str) -> str:
    """Return text that stays text on GitHub, where it can mention nobody and link no issue."""
    return _REFERENCE.sub(lambda match: match.group() + _APART, markdown(text))


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


def terminal(text: str) -> str:
    """Return text for a terminal or a log: its lines fit, and none steers what reads them.

    The rest of a longer line is indented below it. A word that is longer than a line stays whole:
    it may be a path to copy, and so does a command. A number stays with its sign of percent.
    """
    escaped = (_OLD_COMMAND.sub("## ", line) for line in text.split("\n"))  # before they are cut
    return "\n".join(log_line(part) for line in escaped for part in _folded(line))


_COMMAND = re.compile(r"(?<=: )relkit .*$")


def _folded(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    line = _COMMAND.sub(lambda command: command[0].replace(" ", _JOINED), line)
    parts = _wrapped(line, WIDTH, subsequent_indent=indent, break_long_words=False)
    return [part.replace(_JOINED, " ") for part in parts]


def _wrapped(text: str, width: int, **options: Any) -> list[str]:  # noqa: ANN401  # those of textwrap
    """Return the lines of a text, at least one; a text that fits stays as it is."""
    if len(text) <= width:
        return [text]
    text = text.replace(" %", _PERCENT)
    parts = textwrap.wrap(text, width, break_on_hyphens=False, **options)
    return [part.replace(_PERCENT, " %") for part in parts] or [""]


_JOINED = "\N{NO-BREAK SPACE}"
_PERCENT = f"{_JOINED}%"


def xml_text(text: str) -> str:
    """Return text whose every character XML 1.0 allows; the others become U+FFFD."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


HIDDEN = "(hidden)"
"""What stands for a secret."""

_SECRET_ARGUMENT = re.compile(
    r"(?i)(--[\w-]*(?:key|token|secret|passw)[\w-]*[= ]\s*"
    r"|\b\w*(?:key|token|secret|passw)\w*=|\bbearer\s+)\S+"
)

_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?\S*")


def without_secrets(text: str) -> str:
    """Return an address or a command without what looks like a secret in it.

    >>> without_secrets("https://me:pw@host/v1?key=7")
    'https://host/v1'
    >>> without_secrets("python asr.py --api-key 7")
    'python asr.py --api-key (hidden)'
    """
    text = _QUERY.sub(r"\1", _USERINFO.sub("", text))
    return _SECRET_ARGUMENT.sub(rf"\g<1>{HIDDEN}", text)
