"""Values with limits, counts, estimates and times, and how the fields of a type stand in its file.

A number or a text that not every number or text can be is ``Annotated`` with :class:`Limits`,
:class:`Checked` or :class:`Read`; a type whose file is not simply its fields says so in ``FILE``
or in the metadata of a field (see :mod:`relkit.core.codec`). No import of pydantic here.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

WITHIN = "within-cluster"
"""The method of an interval over the utterances of one cluster: it says nothing about others."""

Schema = dict[str, Any]
"""A schema of pydantic-core: a plain dictionary."""


class Limits:
    """Limits of a value by the names pydantic-core has for them: ``ge`` or ``pattern``."""

    def __init__(self, **limits: float | str) -> None:
        """Take them as they are."""
        self.limits = limits

    def __get_pydantic_core_schema__(
        self, source: object, generate: Callable[[object], Schema]
    ) -> Schema:
        """Return the schema of the type with the limits in it."""
        return {**generate(source), **self.limits}


@dataclass(frozen=True, slots=True)
class Checked:
    """What no limit can say: a function that returns a value of the type, or raises ValueError."""

    check: Callable[[Any], object]

    def __get_pydantic_core_schema__(
        self, source: object, generate: Callable[[object], Schema]
    ) -> Schema:
        """Return the schema of the type, and the function after it."""
        function = {"type": "no-info", "function": self.check}
        return {"type": "function-after", "function": function, "schema": generate(source)}


@dataclass(frozen=True, slots=True)
class Read:
    """Another spelling of a value, which a file may have instead.

    ``read`` is called with anything, what is written by relkit included; it returns what is to be
    checked by the type, or raises ValueError. ``spelling`` is the type of the other spelling, for
    JSON Schema.
    """

    read: Callable[[Any], object]
    spelling: object = None

    def __get_pydantic_core_schema__(self, source: object, generate: Any) -> Schema:  # noqa: ANN401 - pydantic's own
        """Return the function, and the schema of the type after it."""
        schema = generate(source)
        function = {"type": "no-info", "function": self.read}
        before: Schema = {"type": "function-before", "function": function, "schema": schema}
        if self.spelling is not None:
            spellings = [generate.generate_schema(self.spelling), schema]
            before["json_schema_input_schema"] = {"type": "union", "choices": spellings}
        return before


@dataclass(frozen=True, slots=True)
class Tagged:
    """A union of types that a key tells apart; each type has it as a ``Literal``.

    Types with the same value of it are told apart by their other keys.
    """

    key: str

    def __get_pydantic_core_schema__(self, source: object, generate: Any) -> Schema:  # noqa: ANN401 - pydantic's own
        """Return a union that looks at the key first."""
        members: dict[object, list[Schema]] = {}
        for member in get_args(source):
            for tag in get_args(get_type_hints(member)[self.key]):
                members.setdefault(tag, []).append(generate.generate_schema(member))
        choices = {
            tag: schemas[0] if len(schemas) == 1 else {"type": "union", "choices": schemas}
            for tag, schemas in members.items()
        }
        return {"type": "tagged-union", "discriminator": self.key, "choices": choices}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a type stands in its file, where that is not simply its fields.

    ``required``: a key whose field has a default may not be left out. ``omitted``: a key is not
    written where the field has its default. Metadata of a field says otherwise for that field.
    ``open``: keys that are no field are passed over, as in files that other tools write.
    ``derived`` maps a property that is written, too, to the field that it stands behind; read, it
    has to be there and counts for nothing.
    """

    required: bool = False
    omitted: bool = False
    open: bool = False
    derived: Mapping[str, str] = field(default_factory=dict)


REQUIRED = {"required": True}
"""Metadata of a field: its default is for code, a file has to have the key."""

OPTIONAL = {"required": False}
"""Metadata of a field: a file may leave the key out although the others are required."""

OMITTED = {"omitted": True}
"""Metadata of a field: at its default it is not written."""

WRITTEN = {"omitted": False}
"""Metadata of a field: written at its default although the others are not."""

OUTSIDE = {"outside": True}
"""Metadata of a field that is no key of the file: it has a default, and is filled in by code."""


def named(key: str) -> dict[str, str]:
    """Return metadata of a field that has another name in the file (``payloadType``)."""
    return {"key": key}


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@lru_cache(maxsize=4096)
def checked_time(text: str) -> str:
    """Return a UTC time to the second as it is written; raises ValueError for what is none."""
    moment(text)
    return text


def moment(text: str) -> datetime:
    """Return a UTC time; raises ValueError for every other spelling and for no time at all."""
    try:
        return datetime.fromisoformat(text if _TIME.fullmatch(text) else "")
    except ValueError as error:
        raise ValueError("a UTC time such as 2026-01-31T12:00:00Z was expected") from error


def after(text: str, seconds: float) -> str:
    """Return the time so many seconds later; raises ValueError."""
    return time_text(moment(text) + timedelta(seconds=seconds))


def time_text(at: datetime) -> str:
    """Return a UTC time to the second as it is written: ``2026-01-31T12:00:00Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def to_minute(text: str) -> str:
    """Return the time of an event of the system to the minute; raises ValueError for none."""
    return time_text(moment(text).replace(second=0))


_DURATION = r"^[0-9]{1,6}(\.[0-9]{1,6})?[smhd]$"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_EXPECTED = "a duration such as 90s, 30m, 24h or 7d was expected"

_LONGEST_DURATION_S = 3650 * 86400.0
"""Ten years: what is valid for longer is not meant."""


def duration_s(text: str) -> float:
    """Return a duration in seconds; raises ValueError for none, for 0 and for over 10 years."""
    if not re.fullmatch(_DURATION, text):
        raise ValueError(_DURATION_EXPECTED)
    seconds = float(text[:-1]) * _SECONDS[text[-1]]
    if not 0 < seconds <= _LONGEST_DURATION_S:
        raise ValueError(f"{_DURATION_EXPECTED}, longer than 0 and at most 3650d")
    return seconds


def checked_duration(value: object) -> object:
    """Return a duration as it was written; raises ValueError for what is none."""
    if not isinstance(value, str):
        raise ValueError(_DURATION_EXPECTED)  # noqa: TRY004 - what a check raises
    duration_s(value)
    return value


def one_line(text: str) -> str:
    """Return text that is one line; raises ValueError for none, several, and blanks around it."""
    if not text.strip():
        raise ValueError("is empty")
    if text != text.strip():
        raise ValueError("has blanks around it")
    if not text.isprintable():
        raise ValueError("holds a line break or another control character")
    return text


def _from_base64(written: object) -> bytes:
    """Return bytes from base64; it has one spelling, so that no changed byte changes nothing."""
    try:
        data = base64.b64decode(str(written), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
    if base64.b64encode(data).decode("ascii") != written:
        raise ValueError("is not base64 in its one spelling")
    return data


Digest = Annotated[str, Limits(pattern=r"^sha256:[0-9a-f]{64}$")]

Time = Annotated[str, Checked(checked_time)]
"""UTC to the second, ``2026-01-31T12:00:00Z``."""

Duration = Annotated[str, Limits(pattern=_DURATION), Read(checked_duration)]
"""``90s``, ``30m``, ``24h`` or ``7d``, as it is written; :func:`duration_s` gives the seconds."""

Base64 = Annotated[bytes, Read(_from_base64)]
"""Bytes, written in base64."""

Count = Annotated[int, Limits(ge=0)]

Rate = Annotated[float, Limits(ge=0, le=1)]
"""A fraction, 0 to 1."""

_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,12})?) ?%")


def fraction_of(written: object) -> object:
    """Return ``5%`` and ``0.5 %`` as a fraction, exactly; anything else as it is."""
    percent = _PERCENT.fullmatch(written) if isinstance(written, str) else None
    return written if percent is None else float(Decimal(percent[1]) / 100)


Fraction = Annotated[float, Limits(ge=0), Read(fraction_of, str)]
"""A fraction that people may write in percent: ``5%`` and ``0.05`` are the same number."""

NonEmpty = Annotated[str, Limits(min_length=1)]


def id_text(value: object) -> object:
    """Return a whole number as text: 1 and "1" are the same id; anything else as it is."""
    return str(value) if type(value) is int else value


Id = Annotated[NonEmpty, Read(id_text, int)]
"""What an utterance is called in a file that others wrote."""

Line = Annotated[str, Limits(max_length=200), Checked(one_line)]
"""One printable line that people wrote into a record."""

Reason = Annotated[str, Limits(max_length=500), Checked(one_line)]
"""The same, and longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A named input by digest."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemId:
    """The system under test by digest.

    ``digest`` covers the effective system with its artifact; ``artifact`` is the digest of what
    can be served (a model folder, a file of answers), None where there is none to digest.
    """

    digest: Digest
    artifact: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its two-sided 95 % interval; None where there is none, never 0 or NaN.

    ``n`` counts the units of the denominator (words, utterances, clips), ``clusters`` the speakers
    or conversations behind them. ``method`` names how the interval was made and ``note`` says in
    words why there is none, or what it leaves out.
    """

    FILE: ClassVar = Shape(required=True)

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int = 0
    unit: str = "fraction"
    method: str = "none"
    note: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Hits, substitutions, deletions and insertions of one or many utterances; they add up.

    Rates are derived from summed counts and are never averaged
    (docs/method.md, section "Scoring text").
    """

    FILE: ClassVar = Shape(required=True)

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, added: "ErrorCounts") -> "ErrorCounts":
        """Return the counts of both together."""
        return ErrorCounts(
            hits=self.hits + added.hits,
            substitutions=self.substitutions + added.substitutions,
            deletions=self.deletions + added.deletions,
            insertions=self.insertions + added.insertions,
        )

    @property
    def reference_length(self) -> int:
        """N = H + S + D, the reference tokens."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_length(self) -> int:
        """M = H + S + I, the hypothesis tokens."""
        return self.hits + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        """E = S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def capped_errors(self) -> int:
        """Errors of one utterance, at most max(1, N), so that a runaway weighs like one loss.

        Meaningful for the counts of a single utterance only.
        """
        return min(self.errors, max(1, self.reference_length))

    @property
    def rate(self) -> float | None:
        """E / N as a fraction; None without a reference token."""
        return self.errors / self.reference_length if self.reference_length else None

    @property
    def match_error_rate(self) -> float | None:
        """MER = E / (H + S + D + I) as a fraction (Morris et al. 2004); None where all are 0."""
        total = self.hits + self.errors
        return self.errors / total if total else None

    @property
    def information_lost(self) -> float | None:
        """WIL = 1 - H^2 / (N M) as a fraction (Morris et al. 2004); None without a reference."""
        if not self.reference_length:
            return None
        if not self.hypothesis_length:
            return 1.0
        return 1.0 - self.hits**2 / (self.reference_length * self.hypothesis_length)


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one UTC time to another; None where one is no UTC time."""
    try:
        start, end = (datetime.fromisoformat(text) for text in (earlier, later))
    except ValueError:
        return None
    if start.utcoffset() is None or end.utcoffset() is None:
        return None
    return (end - start).total_seconds()
