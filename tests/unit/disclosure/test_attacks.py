"""Attackers who know every rule, against what is shown and against the rules that it replaced."""

import pytest

from benchmarks.disclosure_attacks.documents import case_of
from benchmarks.disclosure_attacks.table import ATTACKS, Attack, outcomes

BY_KEY = {attack.key: attack for attack in ATTACKS}

BEFORE: dict[str, int] = {"growing": 1, "sliding": 1, "chain": 1, "program": 2, "again": 1}
"""Populations in which an attack has to work against the rule that it broke; else 4."""

POPULATIONS = {
    "subtraction": 5,
    "program": 5,
    "complements": 5,
    "dominance": 5,
    "percentiles": 5,
    "turns": 3,
    "page": 5,
    "digests": 12,
    "pseudonyms": 60,
    "linked": 60,
    "growing": 1,
    "sliding": 1,
}
"""Populations in which it must not work; the benchmark has more."""


@pytest.mark.parametrize("attack", [BY_KEY[key] for key in POPULATIONS], ids=list(POPULATIONS))
def test_an_attack_works_against_the_replaced_rule_and_not_against_relkit(attack: Attack) -> None:
    """It succeeds often enough before to be an attack, and never after."""
    before, after = outcomes(attack, BEFORE.get(attack.key, 4), POPULATIONS[attack.key])
    assert before.successes > 0, before
    assert after.tries + after.refused > 0, after
    assert after.successes == 0, after


def test_the_number_of_a_cluster_is_the_rank_of_its_name_by_chance_only() -> None:
    """One of a decision's is right by chance; all of them were."""
    before, after = outcomes(BY_KEY["clusters"], 60, 60)
    assert before.successes == before.tries
    assert after.successes < 2 * 60


def test_no_events_of_a_pooled_value_inside_a_crossing_are_bounded_to_fewer_than_nine() -> None:
    """Seven languages of a pool had at most 8 events each in one noise, where 9 would be said."""
    outcome = BY_KEY["program"].after(case_of(23))
    assert outcome.tries > 0
    assert outcome.successes == 0
