"""What people, tenants, slices and versions are called in what is shared (docs/privacy.md).

A name leaves the team only where ``privacy.share`` of relkit.yaml lists it. Every other one becomes
a pseudonym such as ``tenant-3fa2``: HMAC-SHA-256 (RFC 2104) under a key of its incident, so that a
list of likely names opens none, and packets of one incident agree.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relkit.core.errors import InvalidInput
from relkit.core.slices import escape_value
from relkit.disclosure.types import NAME_FORM, Packet, PacketStage
from relkit.redaction.names import personal_type

PSEUDONYM = r"^(column|value|[A-Za-z0-9._+-]{1,40})-[0-9a-f]{4,64}$"
"""The form of a pseudonym: what it stands for, and a part of its keyed hash."""

TENANT = "tenant"
"""The column whose values are never named, whatever is shared."""

ALL_LOCKED = "*"
"""Shares the values that the workspace's datasets were locked with."""

_VERSION_COLUMNS = frozenset(
    {"release"}
    | {
        f"release_{component}"
        for component in ("asr", "llm", "tts", "retrieval", "retriever", "safety", "stack")
    }
)

_SHORTEST = 4
_LONGEST_PREFIX = 40


def is_name(text: str) -> bool:
    """Return whether a name may be shared: ``[A-Za-z0-9._+-]{1,64}``, no personal value in it."""
    return _has_form(text) and personal_type(text) is None


def _has_form(text: str) -> bool:
    return re.fullmatch(NAME_FORM, text) is not None and not text.endswith("\n")


def is_version_column(column: str) -> bool:
    """Return whether the values of a column are versions: ``release`` or ``release_asr``.

    What else begins with ``release_`` may hold anything: who manages a release.
    """
    return column in _VERSION_COLUMNS


def checked_name(text: str, *, what: str) -> str:
    """Return a version, model or policy as it is; raises InvalidInput for one not to be shared.

    It is refused and never masked: a masked one could stand for another. The message does not
    repeat it.
    """
    if not _has_form(text):
        raise InvalidInput(
            f"{what} has a name that no packet may hold",
            hint="names in packets have 1 to 64 of: letters, digits and . _ + -",
        )
    personal = personal_type(text)
    if personal is not None:
        raise InvalidInput(
            f"{what} has a name that reads as a personal value ({personal}): it may not be shared",
            hint="give it a name without numbers, hosts or addresses of people",
        )
    return text


@dataclass(slots=True)
class IncidentPseudonyms:
    """The pseudonyms of one incident; ``issued`` maps each to what it stands for, and grows.

    What it stands for is a column, or a slice such as ``tenant=acme``. ``reserved`` are names that
    are shown as they are: no pseudonym is one of them.
    """

    key: bytes = field(repr=False)
    issued: dict[str, str] = field(default_factory=dict, repr=False)
    reserved: frozenset[str] = frozenset()

    def of(self, prefix: str, stands_for: str) -> str:
        """Return the pseudonym of something: the same one every time; longer where two collide."""
        digest = hmac.new(self.key, f"{prefix}\0{stands_for}".encode(), hashlib.sha256).hexdigest()
        for length in range(_SHORTEST, len(digest) + 1):
            pseudonym = f"{prefix}-{digest[:length]}"
            if self.issued.get(pseudonym, stands_for) == stands_for and (
                pseudonym not in self.reserved
            ):
                self.issued[pseudonym] = stands_for
                return pseudonym
        raise InvalidInput("two names have one keyed hash", hint="this is a defect: report it")


@dataclass(frozen=True, slots=True)
class SharedNames:
    """What columns and values are called outside: by name where shared, else by pseudonym."""

    share: Mapping[str, frozenset[str]]
    pseudonyms: IncidentPseudonyms

    def column(self, name: str) -> str:
        """Return what a column is called; those of versions and tenants are relkit's own."""
        own = name == TENANT or is_version_column(name)
        if own or (name in self.share and is_name(name)):
            return name
        return self.pseudonyms.of("column", name)

    def value(self, column: str, value: str) -> str:
        """Return what a value of a column is called; raises InvalidInput for what is no version."""
        if is_version_column(column):
            return checked_name(value, what=f"a version in the column {column}")
        if column != TENANT and value in self.share.get(column, ()) and is_name(value):
            return value
        named = column == TENANT or (column in self.share and is_name(column))
        prefix = column[:_LONGEST_PREFIX] if named else "value"
        return self.pseudonyms.of(prefix, f"{column}={escape_value(value)}")


def shared_values(
    share: Mapping[str, tuple[str, ...]], locked: Mapping[str, Iterable[str]]
) -> dict[str, frozenset[str]]:
    """Return the values of each column that are shared.

    ``locked`` maps columns to the values that datasets were locked with, which ``*`` stands for.
    """
    return {
        column: frozenset(value for value in values if value != ALL_LOCKED)
        | (frozenset(locked.get(column, ())) if ALL_LOCKED in values else frozenset())
        for column, values in share.items()
    }


def packet_stem(incident: str, stage: PacketStage, window_from: str) -> str:
    """Return what the files of a packet are called, without their endings.

    The first has the name of the incident, later ones their stage and the hour they begin.
    """
    hour = re.sub(r"[-:]", "", window_from)[:11]
    return incident if stage == "initial" else f"{incident}-{stage}-{hour}Z"


def page_name(packet: Packet) -> str:
    """Return the name of the page of a packet, which its statement is about."""
    return packet_stem(packet.incident, packet.stage, packet.window.from_) + ".html"
