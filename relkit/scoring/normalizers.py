"""Text normalizers as named, versioned steps; the built-in steps that need no library.

Whisper's normalizer joins spoken digits ("six six zero" to "660"), so that one wrong digit counts
as one wrong word of one, or as several; the step ``digits`` makes every digit a token. The masking
report says how many word errors each step hid (docs/method.md, section "Scoring text"). A user's
normalizers are ``eval/normalizers/NAME.yaml``.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Literal

from relkit.core.codec import nearest, parse_yaml
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput
from relkit.core.values import Checked, Limits
from relkit.core.yaml_text import shown
from relkit.scoring.types import MaskingStep

_DIGITS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}

_NUMERALS = frozenset(_DIGITS.values())
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_ZEROS = frozenset({"oh", "o"})
_SEPARATORS = re.compile(r"[-\u2010\u2011\u2013,]+")

# Numbers lose what separates their groups; letters beside a digit ("b52") become a token.
_PIECES = re.compile(r"\d|[^\d,.\-\u2010\u2011\u2013]+")
_CERTAIN = 2  # so many digits beside a first or last "oh" make it a zero


def split_digits(text: str) -> str:
    """Return the text with one token ``0`` … ``9`` per spoken or written digit.

    Digit words, digits of any script, "double five" and "triple nine" count, with hyphens and
    commas between them or not. "oh" and "o" are zeros between digits and after "double"; "oh" also
    at the edge of two digits or more ("oh seven nine"). Other numbers ("ten", "twenty") stay words.
    """
    units = [unit for token in text.split() for unit in _units(token)]
    return " ".join(_with_zeros(_with_repeats(units)))


def _units(token: str) -> list[str]:
    """Return the digits and words of one token: ``660``, ``b52`` and ``five-oh`` are split."""
    if any(map(str.isdecimal, token)):
        return [_digit(piece) for piece in _PIECES.findall(token)]
    parts = [part for part in _SEPARATORS.split(token) if part]
    if len(parts) > 1 and all(_kind(_digit(part)) != "word" for part in parts):
        return [_digit(part) for part in parts]
    return [_digit(token)]


def _digit(piece: str) -> str:
    if len(piece) == 1 and piece.isdecimal():
        return str(unicodedata.decimal(piece))
    return _DIGITS.get(piece, piece)


def _with_repeats(units: list[str]) -> list[str]:
    """Resolve "double five" and "double oh" to repeated digits."""
    result: list[str] = []
    at = 0
    while at < len(units):
        after = units[at + 1] if at + 1 < len(units) else ""
        if units[at] in _TIMES and _kind(after) != "word":
            result.extend(["0" if after in _ZEROS else after] * _TIMES[units[at]])
            at += 2
        else:
            result.append(units[at])
            at += 1
    return result


def _with_zeros(units: list[str]) -> list[str]:
    """Resolve "oh" and "o" to zeros where digits stand beside them."""
    runs = [(key, list(run)) for key, run in groupby(units, key=_kind)]
    result: list[str] = []
    for i, (kind, run) in enumerate(runs):
        before = len(runs[i - 1][1]) if i and runs[i - 1][0] == "digit" else 0
        after = len(runs[i + 1][1]) if i + 1 < len(runs) and runs[i + 1][0] == "digit" else 0
        between = bool(before and after)
        beside = max(before, after) >= _CERTAIN and "o" not in run
        result.extend(["0"] * len(run) if kind == "zero" and (between or beside) else run)
    return result


def _kind(unit: str) -> str:
    if unit in _ZEROS:
        return "zero"
    return "digit" if unit in _NUMERALS else "word"


Description = str | Sequence["Description"] | Mapping[str, "Description"]
"""A document of strings that says all that shapes a normalizer's output."""

NORMALIZER_SCHEMA = "relkit.normalizer/v1"
_REMEMBERED = 1 << 16

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("lowercase", "apostrophes", "basic_form"),
    "english": ("lowercase", "apostrophes", "whisper_english"),
    "digits": ("lowercase", "strip_punctuation", "digits"),
    "basic@1": ("lowercase", "whisper_basic"),
    "english@1": ("lowercase", "whisper_english"),
}
"""The normalizers every suite can name, as step names; NAME@1 is an earlier NAME, by its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a normalizer: a function of the text alone.

    ``version`` changes whenever the same text would come out differently (for a step built on a
    library it is the library's version); ``parameters`` are what a user set.
    """

    name: str
    version: str
    apply: Callable[[str], str]
    parameters: Mapping[str, str] = field(default_factory=dict)


class Pipeline:
    """Steps one after the other, with the texts seen last remembered: the ``Normalizer`` port."""

    def __init__(
        self,
        *,
        name: str,
        steps: Iterable[Step],
        digest_of: Callable[[Description], str],
        remembered: int = _REMEMBERED,
    ) -> None:
        """Name the normalizer and digest it; ``remembered`` bounds the texts that are kept."""
        self._name = name
        self._steps = tuple(steps)
        self._digest = digest_of(self.description())
        self._cached = lru_cache(maxsize=remembered)(self._stages)

    @property
    def name(self) -> str:
        """The name a suite uses."""
        return self._name

    @property
    def digest(self) -> str:
        """Digest of :meth:`description`."""
        return self._digest

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps in order; empty for ``none``."""
        return tuple(step.name for step in self._steps)

    def description(self) -> Description:
        """Return name, steps, versions and parameters: what the digest is made of."""
        return {
            "schema": NORMALIZER_SCHEMA,
            "name": self._name.partition("@")[0],
            "steps": [
                {"name": step.name, "version": step.version, "parameters": dict(step.parameters)}
                for step in self._steps
            ],
        }

    def stages(self, text: str) -> tuple[str, ...]:
        """Return the text after each step, in order; the last one is the normalized text."""
        return self._cached(text)

    def normalize(self, text: str) -> str:
        """Return the text after the last step, or the text itself without steps."""
        stages = self._cached(text)
        return stages[-1] if stages else text

    def _stages(self, text: str) -> tuple[str, ...]:
        stages: list[str] = []
        for step in self._steps:
            after = step.apply(text)
            text = text if after == text else after  # one object for equal texts
            stages.append(text)
        return tuple(stages)


def nfkc(text: str) -> str:
    """Return the text in NFKC: full-width, ligature and superscript forms become plain ones."""
    return unicodedata.normalize("NFKC", text)


def lowercase(text: str) -> str:
    """Return the text in lower case, by ``str.lower``.

    Case folding is made for matching and rewrites letters (``ß`` to ``ss``, a final sigma to a
    plain one), which would hide spelling errors. ``str.lower`` is idempotent, so that a library
    that lowers its input first gives the same after this step; like Unicode's default mapping it
    does not know Turkish (``I`` becomes ``i``).
    """
    return text.lower()


_ASCII_STRIPPED = str.maketrans(dict.fromkeys(string.punctuation, " "))


def strip_punctuation(text: str) -> str:
    """Return the text with punctuation and symbols (Unicode P and S) as spaces.

    Apostrophes between letters or digits stay, in one spelling (``don\u2019t`` as ``don't``).
    Currency and percent signs are symbols too, and go.
    """
    if text.isascii() and "'" not in text:  # the same, a dozen times as fast
        return text.translate(_ASCII_STRIPPED)
    from relkit.core.unicode_text import without_punctuation  # noqa: PLC0415  # 50 ms to load

    return without_punctuation(text)


# U+2019, modifier and full-width ones wherever they stand; opening quotes, primes and accents only
# behind a letter ("don`t"), where they open nothing.
_APOSTROPHES = re.compile("[\u2019\u02bc\uff07]|(?<=[^\\W\\d_])[\u2018\u201b\u02bb\u2032\u00b4`]")


def apostrophes(text: str) -> str:
    """Return the text with every apostrophe as U+0027."""
    return _APOSTROPHES.sub("'", text)


_BRACKETS = (re.compile(r"[<\[][^>\]]*[>\]]"), re.compile(r"\([^)]+?\)"))
"""What goes with its text, one after the other: a parenthesis may begin inside a bracket."""


def basic_form(text: str) -> str:
    """Return Whisper's basic form, but with combining marks: they are vowels in many scripts.

    Lower case, NFKC, without what stands in brackets, punctuation and symbols as spaces
    (Radford et al. 2022, appendix C). The dot that lower case leaves of a Turkish \u0130 goes.
    """
    text = text.lower()
    for brackets in _BRACKETS:
        text = brackets.sub("", text)
    if text.isascii():
        return " ".join(text.translate(_ASCII_STRIPPED).split())
    from relkit.core.unicode_text import without_symbols  # noqa: PLC0415  # 50 ms to load

    return " ".join(without_symbols(nfkc(text)).lower().replace("i\u0307", "i").split())


# Vowel points, cantillation and Koranic marks, which may be written or not; letters with a madda or
# a hamza stay. U+0640 only makes a word longer.
_POINTS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
)


def strip_points(text: str) -> str:
    """Return the text without the points of Hebrew and Arabic, which make other words equal."""
    return _POINTS.sub("", text)


def replace(mapping: Mapping[str, str]) -> Step:
    """Return a step that replaces whole tokens and phrases, the longest first, in one pass.

    Keys match exactly, token by token; what was put in is not replaced again; an empty value
    deletes. Raises ValueError for an empty mapping, an empty key or one given twice.
    """
    phrases: dict[tuple[str, ...], str] = {}
    for key, value in mapping.items():
        words = tuple(key.split())
        if not words or words in phrases:
            raise ValueError("a phrase to replace is empty or stands twice")
        phrases[words] = value
    if not phrases:
        raise ValueError("nothing to replace is given")
    sizes = sorted({len(words) for words in phrases}, reverse=True)

    def apply(text: str) -> str:
        words = text.split()
        result: list[str] = []
        at = 0
        while at < len(words):
            for size in sizes:
                if (replacement := phrases.get(tuple(words[at : at + size]))) is not None:
                    result.extend(replacement.split())
                    at += size
                    break
            else:
                result.append(words[at])
                at += 1
        return " ".join(result)

    return Step(name="replace", version="1", apply=apply, parameters=dict(mapping))


PURE_STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        Step(name="nfkc", version="1", apply=nfkc),
        Step(name="lowercase", version="1", apply=lowercase),
        Step(name="strip_punctuation", version="1", apply=strip_punctuation),
        Step(name="digits", version="1", apply=split_digits),
        Step(name="apostrophes", version="1", apply=apostrophes),
        Step(name="basic_form", version="1", apply=basic_form),
        Step(name="strip_points", version="1", apply=strip_points),
    )
}
"""The steps without parameters that this module brings; adapters bring others."""


def built_in(
    name: str, available: Mapping[str, Step], digest_of: Callable[[Description], str]
) -> Pipeline:
    """Return a built-in normalizer made of available steps; KeyError for an unknown name."""
    return Pipeline(
        name=name, steps=[available[step] for step in BUILT_IN[name]], digest_of=digest_of
    )


def masking_steps(
    steps: Sequence[str], stage_errors: Iterable[Sequence[int]]
) -> tuple[MaskingStep, ...]:
    """Return the errors before and after each step, summed over utterances.

    ``stage_errors`` holds, per utterance, the errors of the raw text and then after each step, as
    in ``ScoredText``. Raises ValueError where a row has another length.
    """
    totals = [0] * (len(steps) + 1)
    for row in stage_errors:
        totals = [total + errors for total, errors in zip(totals, row, strict=True)]
    return tuple(
        MaskingStep(step=step, errors_before=totals[i], errors_after=totals[i + 1])
        for i, step in enumerate(steps)
    )


def checked_replacements(mapping: Mapping[str, str]) -> Mapping[str, str]:
    """Return replacements that make a step; raises ValueError for others."""
    replace(mapping)
    return mapping


def free_name(name: str) -> str:
    """Return a name that no built-in normalizer has; raises ValueError for others."""
    if name in BUILT_IN:
        raise ValueError(f'"{name}" is a built-in normalizer; choose another name')
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """A step that replaces whole tokens and phrases."""

    replace: Annotated[Mapping[str, str], Limits(min_length=1), Checked(checked_replacements)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizerFile:
    """A user's normalizer: steps by name, and replacements."""

    schema: Literal["relkit.normalizer/v1"] = "relkit.normalizer/v1"
    name: Annotated[str, Limits(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$"), Checked(free_name)]
    steps: Annotated[tuple[str | Replacements, ...], Limits(min_length=1, max_length=100)]


def parse_normalizer(text: str, *, source: str, available: Mapping[str, Step]) -> Pipeline:
    """Return a normalizer from YAML; ``available`` are the steps it can name.

    Raises InvalidInput for the file and for an unknown step.
    """
    written = parse_yaml(text, NormalizerFile, source=source)
    steps = pipeline_steps(written, available, source=source)
    return Pipeline(name=written.name, steps=steps, digest_of=digest_of)


def pipeline_steps(
    written: NormalizerFile, available: Mapping[str, Step], *, source: str
) -> tuple[Step, ...]:
    """Return the steps that a file names; raises InvalidInput for one that does not exist."""
    steps: list[Step] = []
    for number, step in enumerate(written.steps, start=1):
        if isinstance(step, Replacements):
            steps.append(replace(step.replace))
        elif step in available:
            steps.append(available[step])
        else:
            raise InvalidInput(
                f'{source}: step {number}: unknown step "{shown(step)}"',
                hint=nearest(step, (*available, "replace")),
            )
    return tuple(steps)
