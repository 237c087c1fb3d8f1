"""Who calls when: arrivals over the day, users that come back, what they are, and their arm.

Sessions begin by a Poisson law whose rate follows the hour of the day and the week. A few users
call often; what a user is (language, device, region …) is drawn from the user's key, so that it
stays the same in every hour. The arm is a coin for each unit and step.
"""

from collections.abc import Mapping

import numpy as np

from relkit.core.arrays import Codes
from relkit.core.values import moment
from relkit.telemetry.simulation.types import (
    Bools,
    Floats,
    Keys,
    Quantity,
    Rehearsal,
    TrafficChange,
)

DAY = (
    *(0.25, 0.18, 0.14, 0.12, 0.14, 0.22, 0.4, 0.75, 1.2, 1.6, 1.75, 1.7),
    *(1.5, 1.55, 1.65, 1.6, 1.5, 1.45, 1.45, 1.5, 1.35, 1.0, 0.65, 0.4),
)
"""Arrivals by hour of the day (UTC), before they are scaled to a mean of 1 over a week."""

WEEKEND = 0.7
"""Arrivals of Saturday and Sunday against the other days."""

_SATURDAY = 5

CATEGORIES: Mapping[str, Mapping[str, float]] = {
    "language": {
        "en": 0.47,
        "es": 0.14,
        "de": 0.1,
        "fr": 0.08,
        "pt": 0.07,
        "hi": 0.06,
        "ja": 0.05,
        "ta": 0.03,
        "sw": 0.0,
    },
    "device": {"android": 0.4, "ios": 0.34, "web": 0.16, "landline": 0.1, "watch": 0.0},
    "channel": {"app": 0.59, "phone": 0.25, "web": 0.16},
    "region": {"eu": 0.36, "us": 0.34, "in": 0.18, "jp": 0.12, "br": 0.0},
    "tenant_class": {"business": 0.45, "free": 0.3, "enterprise": 0.25},
    "label": {"booking": 0.34, "billing": 0.26, "support": 0.22, "cancel": 0.1, "other": 0.08},
}
"""Values and their shares; those with none occur in scenarios alone.

The channel follows the device, the region mostly the language, and ``label`` is each turn's.
"""

_USUAL_DEVICE, _AT_HOME, _DIALS = 0.9, 0.85, 0.2
_HOME = {"en": 1, "es": 0, "de": 0, "fr": 0, "pt": 0, "hi": 2, "ja": 3, "ta": 2, "sw": 0}
_CHANNEL_OF = (0, 0, 2, 1, 0)
"""Region of a language and channel of a device, by their numbers in ``CATEGORIES``."""


def traffic_load(rehearsal: Rehearsal, hour: int) -> float:
    """Return the arrivals of an hour (numbered from the start) against their mean over a week."""
    start = moment(rehearsal.start)
    hours = start.hour + hour
    weekday = (start.weekday() + hours // 24) % 7
    weekly = sum(DAY) / 24 * (5 + 2 * WEEKEND) / 7
    return DAY[hours % 24] * (WEEKEND if weekday >= _SATURDAY else 1.0) / weekly


def mixed(keys: Keys, salt: int) -> Keys:
    """Return 64 other bits of each key (splitmix64, Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        bits = keys + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(bits ^ (bits >> np.uint64(31)))


def uniform(keys: Keys, salt: int) -> Floats:
    """Return a number in [0, 1) for each key."""
    return np.asarray((mixed(keys, salt) >> np.uint64(11)) * 2.0**-53)


def chosen(shares: Mapping[str, float], drawn: Floats) -> Codes:
    """Return a value for each number in [0, 1), by the shares."""
    edges = np.cumsum(list(shares.values()))[:-1]
    codes = np.searchsorted(edges, drawn, side="right").astype(np.int32)
    # Rounding must not choose what has no share.
    most = max(i for i, share in enumerate(shares.values()) if share > 0)
    return Codes(np.minimum(codes, np.int32(most)), tuple(shares))


class Faults:
    """What a scenario changes for each of some sessions or turns."""

    def __init__(
        self, rehearsal: Rehearsal, hours: Floats, canary: Bools, texts: Mapping[str, Codes]
    ) -> None:
        """Take when each begins (hours from the start), its arm, and what it is by column."""
        self._rehearsal = rehearsal
        self._after = hours - rehearsal.onset_hours
        self._canary = canary
        self._texts = texts

    def factor(self, quantity: Quantity) -> Floats | float:
        """Return what a quantity is multiplied with."""
        factor: Floats | float = 1.0
        for change in self._rehearsal.scenario.changes:
            if change.quantity == quantity and change.factor != 1.0:
                strength = self._strength(change)
                factor = factor * change.factor**strength
        return factor

    def added(self, quantity: Quantity) -> Floats | float:
        """Return what is added to a quantity."""
        added: Floats | float = 0.0
        for change in self._rehearsal.scenario.changes:
            if change.quantity == quantity and change.add != 0.0:
                added = added + change.add * self._strength(change)
        return added

    def _strength(self, change: TrafficChange) -> Floats:
        """Return how much of a change each has: 0 for none, 1 for all of it."""
        active = np.ones(len(self._after), np.bool_)
        if change.arm is not None:
            active &= self._canary == (change.arm == "canary")
        for column, value in change.only.items():
            text = self._texts[column]
            active &= text.codes == text.names.index(value)
        since = self._after if change.after_onset else self._after + self._rehearsal.onset_hours
        active &= since >= 0
        if change.hours is not None:
            active &= since < change.hours
        grown = 1.0 if change.ramp_hours is None else np.clip(since / change.ramp_hours, 0.0, 1.0)
        return np.asarray(active * grown, np.float64)


def normal(keys: Keys, salt: int) -> Floats:
    """Return a standard normal number for each key (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(keys, salt)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(keys, salt + 1)))


def profiles(
    rehearsal: Rehearsal, users: Keys, sessions: Keys, hours: Floats, forced: Mapping[str, str]
) -> dict[str, Codes]:
    """Return what each session is by column: that of its user, mostly."""
    elsewhere = uniform(sessions, 20) >= _USUAL_DEVICE
    device = chosen(
        CATEGORIES["device"], np.where(elsewhere, uniform(sessions, 21), uniform(users, 22))
    )
    language = chosen(CATEGORIES["language"], uniform(users, 23))
    home = np.array([_HOME[name] for name in language.names], np.int32)[language.codes]
    away = chosen(CATEGORIES["region"], uniform(users, 25)).codes
    by_device = np.array(_CHANNEL_OF, np.int32)[device.codes]
    phones = (by_device == 0) & (uniform(users, 26) < _DIALS)
    texts = {
        "language": language,
        "device": device,
        "channel": Codes(np.where(phones, np.int32(1), by_device), tuple(CATEGORIES["channel"])),
        "region": Codes(
            np.where(uniform(users, 24) < _AT_HOME, home, away), tuple(CATEGORIES["region"])
        ),
        "tenant_class": chosen(CATEGORIES["tenant_class"], uniform(users, 27)),
    }
    for column, value in forced.items():
        names = texts[column].names
        texts[column] = Codes(np.full(len(users), names.index(value), np.int32), names)
    for salt, shift in enumerate(rehearsal.scenario.shifts, start=60):
        if shift.column in texts:
            text = texts[shift.column]
            moved = (uniform(sessions, salt) < shift.share) & (hours >= rehearsal.onset_hours)
            number = np.int32(text.names.index(shift.value))
            texts[shift.column] = Codes(np.where(moved, number, text.codes), text.names)
    return texts


def arms(rehearsal: Rehearsal, units: Keys, hours: Floats, texts: Mapping[str, Codes]) -> Bools:
    """Return which sessions are in the canary: a coin for each unit and step."""
    ends = np.cumsum([step.hours for step in rehearsal.steps])[:-1]
    step = np.searchsorted(ends, hours, side="right")
    share = np.array([step.share for step in rehearsal.steps])[step]
    faults = Faults(rehearsal, hours, np.ones(len(units), np.bool_), texts)
    coin = uniform(mixed(units, 6) + step.astype(np.uint64), rehearsal.seed * 4 + 3)
    return np.asarray(coin < share * faults.factor("share"))


def labels(rehearsal: Rehearsal, drawn: Floats, hours: Floats, sessions: Keys) -> Codes:
    """Return what each turn is about."""
    text = chosen(CATEGORIES["label"], drawn)
    codes = text.codes
    for salt, shift in enumerate(rehearsal.scenario.shifts, start=80):
        if shift.column == "label":
            moved = (uniform(sessions, salt) < shift.share) & (hours >= rehearsal.onset_hours)
            codes = np.where(moved, np.int32(text.names.index(shift.value)), codes)
    return Codes(codes, text.names)
