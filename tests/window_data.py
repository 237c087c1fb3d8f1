"""Windows of random people, for tests of disclosure control."""

import numpy as np

from relkit.core.arrays import Codes
from relkit.disclosure.types import WindowTurns

HOURS = 6


def random_window(seed: int, people: int, *, columns: int = 3, metrics: int = 2) -> WindowTurns:
    """Return turns of people who differ in how much they say, by columns of six values.

    Everybody has one value of the first column, and any of the others in every turn; the metric
    ``m1`` is not measured in half of the turns.
    """
    rng = np.random.default_rng(seed)
    persons = np.repeat(
        np.arange(people), np.maximum(1, rng.lognormal(1.1, 1.0, people)).astype(int)
    )
    turns = len(persons)
    codes = {}
    for number in range(columns):
        shares = rng.dirichlet(np.full(6, 0.5))
        values = rng.choice(6, people if number == 0 else turns, p=shares)
        values = values[persons] if number == 0 else np.where(rng.random(turns) < 0.01, -1, values)
        codes[f"c{number}"] = Codes(
            codes=values.astype(np.int32), names=tuple(f"v{value}" for value in range(6))
        )
    flags = {}
    for number in range(metrics):
        rate = rng.uniform(0.01, 0.2)
        event = rng.random(turns) < rng.gamma(2.0, rate / 2.0, people)[persons]
        missing = rng.random(turns) < 0.5 * (number == 1)
        flags[f"m{number}"] = np.where(missing, -1, event).astype(np.int8)
    return WindowTurns(
        persons=persons,
        columns=codes,
        flags=flags,
        quantities={"latency_ms": rng.lognormal(5.0, 1.0, turns)},
    )


def failing_window(seed: int) -> WindowTurns:
    """Return six hours of 500 turns, in which one accent of six fails five times as often."""
    rng = np.random.default_rng(seed)
    people = 400
    weight = rng.lognormal(0.0, 1.0, people)
    persons = np.sort(rng.choice(people, HOURS * 500, p=weight / weight.sum()))
    accent = rng.choice(6, people, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])[persons]
    device = rng.choice(3, people, p=[0.6, 0.3, 0.1])[persons]
    rate = rng.gamma(8.0, 0.05 / 8.0, people)[persons] * np.where(accent == 2, 5.0, 1.0)
    names = ("american", "british", "scottish", "indian", "welsh", "irish")
    return WindowTurns(
        persons=persons,
        columns={
            "accent": Codes(codes=accent.astype(np.int32), names=names),
            "device": Codes(codes=device.astype(np.int32), names=("car", "phone", "room")),
        },
        flags={"failure": (rng.random(len(persons)) < rate).astype(np.int8)},
    )
