"""How often a look for abuse is wrong, and how often it finds what is there."""

from datetime import UTC, datetime

import numpy as np
import pytest

from relkit.core.errors import InvalidInput
from relkit.incident.abuse import _Class, _spike
from relkit.incident.policies import parse_abuse_policy
from relkit.incident.triage import SearchSpan
from relkit.incident.types import AbusePolicy

DAYS = 6
START = int(datetime(2026, 11, 25, tzinfo=UTC).timestamp())
SPAN = SearchSpan(start=START, reference=START + (DAYS - 1) * 86400, end=START + DAYS * 86400)


def found(calls: float, varies: float, spike: float, *, hours: int = 2, looks: int = 60) -> float:
    """Return the share of looks that find a spike in the last day, from 10:00 on.

    ``calls`` an hour at most, in bursts; whole days vary by ``varies`` (standard deviation of
    the logarithm), single hours by 0.1.
    """
    rng = np.random.default_rng(3)
    hour = np.arange(DAYS * 24)
    shape = 0.2 + np.sin(np.pi * (hour % 24) / 24) ** 2
    spikes = 0
    for _ in range(looks):
        level = calls * shape * np.repeat(np.exp(rng.normal(0, varies, DAYS)), 24)
        level *= np.exp(rng.normal(0, 0.1, len(level)))
        level[(DAYS - 1) * 24 + 10 : (DAYS - 1) * 24 + 10 + hours] *= spike
        sessions = rng.poisson(np.repeat(level / 12, 12))
        turns = sessions + rng.poisson(3 * sessions)
        item = _Class(name="x", amounts={"turns": turns}, served=np.ones(len(turns), np.int64))
        spikes += _spike(item, "turns", SPAN, AbusePolicy()) is not None
    return spikes / looks


@pytest.mark.parametrize("calls", [6, 40, 4000])
def test_days_that_vary_are_no_abuse(calls: float) -> None:
    """Days that differ by a third are found in at most one look of twenty."""
    assert found(calls, 0.3, 1.0) <= 0.05


@pytest.mark.parametrize("calls", [40, 4000])
def test_five_times_as_much_for_an_hour_is_found(calls: float) -> None:
    """A class of forty calls an hour is enough, and so is one of thousands."""
    assert found(calls, 0.2, 5.0, hours=1) >= 0.9


def test_less_than_the_factor_is_no_spike() -> None:
    """What grows by a half is no spike, however sure it is: chance and a factor of two decide."""
    assert found(4000, 0.05, 1.5) <= 0.05


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window: 7m\n", "a.yaml, line 2: window: 7m is no part of an hour"),
        ("reference: 1h\n", "a.yaml, line 2: reference: is under a day"),
        ("factor: 1\n", "a.yaml, line 2"),
        ("measures: [tokens]\n", "a.yaml, line 2"),
        ("classes: {free: [a], pro: [b, a]}\n", "a.yaml, line 2: a tenant is in two classes"),
        ("class: {}\n", "a.yaml, line 2"),
    ],
)
def test_policy_that_cannot_be_meant_is_refused_with_its_line(text: str, message: str) -> None:
    """Every defect is said with file and line."""
    with pytest.raises(InvalidInput) as caught:
        parse_abuse_policy("schema: relkit.abuse/v1\n" + text, source="a.yaml")
    assert message in caught.value.message
