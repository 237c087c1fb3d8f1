"""Which hours a packet is about, and how packets of one incident follow each other.

Windows are whole hours of UTC, and no two of them overlap: two that differ by few turns tell what
those were (docs/incidents.md).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast, get_args

from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import moment, time_text
from relkit.core.yaml_text import shown
from relkit.disclosure.types import HourSpan, Mitigation, Packet
from relkit.incident.packets.types import IssuedPacket

_SHORT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})(?::(\d{2}))?(?::(\d{2}))?Z")
_LONGEST_DAYS = 31
_EXAMPLE = "such as 2026-11-01T03Z/2026-11-01T09Z"


def parse_window(text: str, *, now: str) -> HourSpan:
    """Return a window that was typed as ``FROM/TO``; raises UsageError, naming the right one.

    Times are UTC and may leave minutes and seconds out. It has to be over: turns that arrive later
    would make it another window.
    """
    parts = text.split("/")
    if len(parts) != 2:  # noqa: PLR2004 - from and to
        raise UsageError("--window: two times and a / were expected", hint=_EXAMPLE)
    begin, end = (_time(part) for part in parts)
    if floor_hour(begin) != begin or floor_hour(end) != end:
        whole_hours = window_text(hours_around(begin, end))
        raise UsageError(
            "--window: packets are about whole hours of UTC", hint=f"--window {whole_hours}"
        )
    if end <= begin:
        raise UsageError("--window: ends before it begins", hint=_EXAMPLE)
    if end - begin > timedelta(days=_LONGEST_DAYS):
        raise UsageError(f"--window: is longer than {_LONGEST_DAYS} days", hint=_EXAMPLE)
    if end > moment(now):
        last = floor_hour(moment(now))
        hint = "wait until the hour is over"
        if last > begin:
            hint = f"--window {window_text(HourSpan(from_=time_text(begin), to=time_text(last)))}"
        raise UsageError("--window: is not over yet", hint=hint)
    return HourSpan(from_=time_text(begin), to=time_text(end))


def _time(text: str) -> datetime:
    written = _SHORT.sub(lambda m: f"{m[1]}:{m[2] or '00'}:{m[3] or '00'}Z", text.strip())
    try:
        return moment(written)
    except ValueError as error:
        raise UsageError(f'--window: "{shown(text)}" is no time in UTC', hint=_EXAMPLE) from error


def floor_hour(at: datetime) -> datetime:
    """Return the beginning of the hour that a time is in."""
    return at.replace(minute=0, second=0, microsecond=0)


def hours_around(begin: datetime, end: datetime) -> HourSpan:
    """Return the whole hours that hold everything from one time to another; one at least."""
    first, last = floor_hour(begin), floor_hour(end)
    if last < end or last == first:
        last += timedelta(hours=1)
    return HourSpan(from_=time_text(first), to=time_text(last))


def window_text(window: HourSpan) -> str:
    """Return a window as ``--window`` takes it, in its shortest form."""
    return "/".join(time.replace(":00:00Z", "Z") for time in (window.from_, window.to))


def window_since(onset: str, last: str, *, now: str) -> HourSpan | None:
    """Return the whole hours from an onset to the last turn; None where none of them is over."""
    begin = floor_hour(moment(onset))
    longest = begin + timedelta(days=_LONGEST_DAYS)
    end = min(moment(hours_around(begin, moment(last)).to), floor_hour(moment(now)), longest)
    return HourSpan(from_=time_text(begin), to=time_text(end)) if end > begin else None


def hours(window: HourSpan) -> int:
    """Return how many hours a window has."""
    return int((moment(window.to) - moment(window.from_)).total_seconds()) // 3600


def check_chain(
    window: HourSpan, incident: str, issued: Sequence[IssuedPacket], others: Iterable[Packet]
) -> IssuedPacket | None:
    """Return the packet of this very window that is out already, None where there is none.

    ``issued`` are the packets of the incident, oldest first; ``others`` those of other incidents.
    Raises InvalidInput where the window overlaps another, or leaves a gap after the last.
    """
    for earlier in issued:
        if earlier.packet.window == window:
            return earlier
    for packet in (*(earlier.packet for earlier in issued), *others):
        if window.from_ < packet.window.to and packet.window.from_ < window.to:
            whose = "" if packet.incident == incident else f" of incident {packet.incident}"
            raise InvalidInput(
                f"--window: overlaps the packet{whose} about {window_text(packet.window)}: what"
                " they differ by could be told",
                hint="ask for the same window again, or go on where it ended: --update PACKET"
                f" --window {_next_window(packet.window, window)}",
            )
    if issued and issued[-1].packet.window.to != window.from_:
        last = issued[-1].packet.window
        raise InvalidInput(
            "--window: does not begin where the packet before ended",
            hint=f"--window {_next_window(last, window)}",
        )
    return None


def _next_window(last: HourSpan, window: HourSpan) -> str:
    end = window.to if window.to > last.to else time_text(moment(last.to) + timedelta(hours=1))
    return window_text(HourSpan(from_=last.to, to=end))


def checked_mitigations(names: Iterable[str]) -> tuple[Mitigation, ...]:
    """Return what was done, each once; raises UsageError for what is no kind of it."""
    kinds: tuple[str, ...] = get_args(Mitigation)
    for name in names:
        if name not in kinds:
            raise UsageError(
                f'--mitigation: no kind "{shown(name)}"',
                hint=nearest(name, kinds) or f"there are: {', '.join(kinds)}",
            )
    done = tuple(cast("Mitigation", name) for name in dict.fromkeys(names))
    if "none_yet" in done and len(done) > 1:
        raise UsageError("--mitigation: none_yet stands alone", hint="leave it out")
    return done
