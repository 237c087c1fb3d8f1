"""Versions and ranges of them: ``>=1.2,<2``, in the order of Semantic Versioning 2.0.0, section 11.

A numeric version is dotted numbers of any count (``1.2`` is ``1.2.0``), optionally with a leading
``v``, a pre-release (``-rc.1``, or Python's ``rc1``) and build metadata, which never counts. Every
other name (``main-7f3a``) has no place among them: such names are ordered by when they were
registered, and only where that is known.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_NUMERIC = re.compile(
    r"v?(?P<release>[0-9]{1,9}(?:\.[0-9]{1,9}){0,7})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)|(?P<python>(?:a|b|rc)[0-9]{1,9}))?"
    r"(?:\+[0-9A-Za-z.-]+)?"
)

_PYTHON = {"a": "alpha", "b": "beta", "rc": "rc"}
_CLAUSE = re.compile(r"(?P<sign>>=|<=|==|!=|>|<|=)?\s*(?P<version>[A-Za-z0-9*][A-Za-z0-9._+*-]*)")
_LONGEST = 200

_Identifier = tuple[int, int, str]
"""(0, number, "") or (1, 0, word): numbers come before words."""


@dataclass(frozen=True, slots=True, order=True)
class _Numeric:
    """A numeric version; the fields are compared in this order."""

    release: tuple[int, ...]
    final: bool
    pre: tuple[_Identifier, ...] = ()


@lru_cache(maxsize=4096)
def _numeric(text: str) -> _Numeric | None:
    match = _NUMERIC.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    words = (match["pre"] or "").split(".") if match["pre"] else []
    if python := match["python"]:
        letters = python.rstrip("0123456789")
        words = [_PYTHON[letters], python[len(letters) :]]
    pre = tuple((0, int(word), "") if word.isdecimal() else (1, 0, word) for word in words)
    return _Numeric(release=tuple(numbers), final=not pre, pre=pre)


def is_numeric(version: str) -> bool:
    """Return whether a version has a place in the numeric order."""
    return _numeric(version) is not None


def same_or_newer_minor(version: str, needed: str) -> bool:
    """Return whether an interface version offers what ``needed`` does, by SemVer's promise.

    The same major number and no smaller minor one (below 1.0 the same minor one); names that are
    not numeric have to be equal.
    """
    offered, required = _numeric(version), _numeric(needed)
    if version == needed:
        return True
    if offered is None or required is None or not offered.final or not required.final:
        return False
    (major, minor), (needed_major, needed_minor) = (
        (*item.release, 0)[:2] for item in (offered, required)
    )
    if major != needed_major:
        return False
    return minor == needed_minor if major == 0 else minor >= needed_minor


def compare_versions(a: str, b: str, order: Sequence[str] = ()) -> int:
    """Return -1, 0 or 1 for ``a`` before, the same as or after ``b``.

    Two numeric versions by number, everything else by place in ``order`` (as registered, oldest
    first). Raises ValueError where neither tells.
    """
    first, second = _numeric(a), _numeric(b)
    if first is not None and second is not None:
        return (first > second) - (first < second)
    if a == b:
        return 0
    if a in order and b in order:
        return 1 if order.index(a) > order.index(b) else -1
    named = a if first is None else b
    raise ValueError(
        f'"{named}" is no numeric version, and when it was registered is not known, so that '
        f'"{a}" and "{b}" have no order'
    )


@dataclass(frozen=True, slots=True)
class _Clause:
    """One comparison; ``wildcard`` is the release prefix of ``1.2.*``."""

    sign: str
    version: str
    wildcard: tuple[int, ...] | None = None

    def holds(self, version: str, order: Sequence[str]) -> bool:
        """Return whether a version satisfies it; one without an order does not."""
        if self.wildcard is not None:
            number, length = _numeric(version), len(self.wildcard)
            if number is None:
                return False
            begins = (number.release + (0,) * length)[:length]
            return (begins == self.wildcard) == (self.sign == "==")
        if self.sign == "==" and not is_numeric(version):
            return version == self.version
        if self.sign == "!=" and not (is_numeric(version) and is_numeric(self.version)):
            return version != self.version
        try:
            place = compare_versions(version, self.version, order)
        except ValueError:
            return False
        return _HOLDS[self.sign](place) and not self._is_pre_release_of_the_end(version)

    def _is_pre_release_of_the_end(self, version: str) -> bool:
        """Return whether it is ``2.0.0-rc.1`` under ``<2``, which means to keep 2 out."""
        number, end = _numeric(version), _numeric(self.version)
        if self.sign != "<" or number is None or end is None:
            return False
        return end.final and not number.final and number.release == end.release


_HOLDS: dict[str, Callable[[int], bool]] = {
    ">=": lambda place: place >= 0,
    ">": lambda place: place > 0,
    "<=": lambda place: place <= 0,
    "<": lambda place: place < 0,
    "==": lambda place: place == 0,
    "!=": lambda place: place != 0,
}


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Comparisons that all have to hold; none for ``*``, which every version satisfies."""

    text: str
    clauses: tuple[_Clause, ...]

    @classmethod
    def parse(cls, text: str) -> "VersionRange":
        """Return a range such as ``>=1.2,<2``, ``==1.2.*``, ``!=1.3.1``, ``1.4.0`` or ``*``.

        Commas mean *and*; a version alone means exactly it. Raises ValueError for what is none,
        and for ``<``, ``<=``, ``>`` and ``>=`` before a name that is no numeric version.
        """
        return _parsed(text)

    def holds(self, version: str, order: Sequence[str] = ()) -> bool:
        """Return whether a version is inside; never for one whose place is not known.

        A pre-release is inside where its place is (``1.5.0-rc.1`` in ``>=1.2,<2``), but ``<2``
        keeps the pre-releases of 2 out. ``order`` is that of :func:`compare_versions`.
        """
        return all(clause.holds(version, order) for clause in self.clauses)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> VersionRange:
    if len(text) > _LONGEST:
        raise ValueError("a range of versions is at most 200 characters long")
    if text.strip() == "*":
        return VersionRange(text, ())
    return VersionRange(text, tuple(_clause(part.strip(), text) for part in text.split(",")))


def _clause(part: str, text: str) -> _Clause:
    match = _CLAUSE.fullmatch(part)
    if match is None:
        raise ValueError(
            f'"{text}" is no range of versions; one looks like ">=1.2,<2", "==1.2.*" or "*"'
        )
    sign = "==" if match["sign"] in {None, "="} else match["sign"]
    version = match["version"]
    if version.endswith(".*"):
        prefix = version.removesuffix(".*").removeprefix("v")
        if sign not in {"==", "!="} or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})*", prefix):
            raise ValueError(f'"{text}": a star goes with == or != and numbers, as in "==1.2.*"')
        return _Clause(sign, version, tuple(int(number) for number in prefix.split(".")))
    if "*" in version:
        raise ValueError(f'"{text}": a star stands alone or after the last dot, as in "==1.2.*"')
    if sign not in {"==", "!="} and not is_numeric(version):
        raise ValueError(f'"{text}": "{version}" is no numeric version, and only those have {sign}')
    return _Clause(sign, version)
