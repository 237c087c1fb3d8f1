"""Who calls: people that differ in how much they call, what they are, and how they fare.

What a person is (accent, language, device, region, client, tenant) is drawn from the person's key
and stays the same in every hour; the noise is the call's. A few people call often.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from relkit.core.arrays import Codes
from relkit.incident.simulation.types import SimulatedIncident
from relkit.telemetry.simulation.callers import chosen, mixed, normal, uniform
from relkit.telemetry.simulation.types import Floats, Keys

PEOPLE_SHARES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "accent": {
            "american": 0.36,
            "british": 0.22,
            "scottish": 0.16,
            "indian": 0.16,
            "irish": 0.1,
        },
        "noise": {"quiet": 0.5, "street": 0.25, "car": 0.15, "cafe": 0.1},
        "device": {"phone": 0.5, "speaker": 0.22, "car": 0.18, "watch": 0.1},
        "lang": {"en": 0.58, "de": 0.2, "es": 0.13, "fr": 0.09},
        "region": {"eu": 0.38, "us": 0.34, "ap": 0.18, "sa": 0.1},
        "client": {"ios": 0.36, "android": 0.34, "web": 0.2, "kiosk": 0.1},
        "tenant": {
            "t1": 0.3,
            "t2": 0.22,
            "t3": 0.16,
            "t4": 0.12,
            "t5": 0.09,
            "t6": 0.06,
            "t7": 0.05,
        },
    }
)
"""Slice columns: their values, and the share of people (of calls, for the noise) with each."""

SPREAD_OF_PEOPLE, SPREAD_OF_SESSIONS = 0.5, 0.6
"""Standard deviations of the log of what a person, and a session, multiplies bad events with."""

_PEOPLE_PER_TURN_PER_HOUR = 5
_SKEW = 2.5


def people_of(incident: SimulatedIncident, rng: np.random.Generator, count: int) -> Keys:
    """Return the person of each of so many sessions: some call far more often than others."""
    population = max(40, int(_PEOPLE_PER_TURN_PER_HOUR * incident.turns_per_hour))
    numbers = (population * rng.random(count) ** _SKEW).astype(np.uint64)
    return mixed(numbers, incident.seed * 4 + 2)


def people_profiles(
    incident: SimulatedIncident, people: Keys, sessions: Keys, hours: Floats
) -> dict[str, Codes]:
    """Return what each session is by column; ``hours`` is when it begins, from the start."""
    texts: dict[str, Codes] = {}
    for salt, (column, shares) in enumerate(PEOPLE_SHARES.items(), start=40):
        texts[column] = chosen(shares, uniform(sessions if column == "noise" else people, salt))
    for salt, mix in enumerate(incident.kind.mix, start=60):
        text = texts[mix.column]
        moved = (uniform(sessions, salt) < mix.share) & (hours >= incident.onset_hours)
        number = np.int32(text.names.index(mix.value))
        texts[mix.column] = Codes(np.where(moved, number, text.codes), text.names)
    return texts


def forced(texts: Mapping[str, Codes], only: Mapping[str, str]) -> dict[str, Codes]:
    """Return the columns with one value where it is asked for."""
    values = dict(texts)
    for column, value in only.items():
        names = texts[column].names
        codes = np.full(len(texts[column].codes), names.index(value), np.int32)
        values[column] = Codes(codes, names)
    return values


def proneness(people: Keys, sessions: Keys) -> Floats:
    """Return what each session multiplies the rates of bad events with; 1 on average."""
    spread = SPREAD_OF_PEOPLE**2 + SPREAD_OF_SESSIONS**2
    return np.asarray(
        np.exp(
            SPREAD_OF_PEOPLE * normal(people, 30)
            + SPREAD_OF_SESSIONS * normal(sessions, 32)
            - spread / 2
        )
    )
