"""Text normalizers as named, versioned steps; the built-in steps that need no library."""

import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from relkit.rules.digit_words import split_digits

Description = str | Sequence["Description"] | Mapping[str, "Description"]
"""A document of strings that says all that shapes a normalizer's output."""

SCHEMA = "relkit.normalizer/v1"
_REMEMBERED = 1 << 16

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("lowercase", "whisper_basic"),
    "english": ("lowercase", "whisper_english"),
    "digits": ("lowercase", "strip_punctuation", "digits"),
}
"""The normalizers every suite can name, as step names."""


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
            "schema": SCHEMA,
            "name": self._name,
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
    from relkit.rules.unicode_text import without_punctuation  # noqa: PLC0415  # 50 ms to load

    return without_punctuation(text)


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
                if (found := phrases.get(tuple(words[at : at + size]))) is not None:
                    result.extend(found.split())
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
