"""Consent: what may reach a system, and what is said about the rest."""

import pytest

from relkit.core.errors import InvalidInput
from relkit.datasets.selection import Policy, consented, require_consent
from relkit.datasets.types import Consent, Utterance
from relkit.evaluation.slicing import select
from tests.builders import dataset, utterance

ALL = ("granted", "revoked", "unknown")


def spoken(*consents: str) -> list[Utterance]:
    """Return an utterance per consent, named after it and its place."""
    return [
        utterance(f"{consent}{i}", consent=Consent(consent)) for i, consent in enumerate(consents)
    ]


@pytest.mark.parametrize(
    ("consents", "policy", "left", "notes"),
    [
        (("granted", "unknown"), "optional", ["granted0", "unknown1"], ()),
        (("granted", "granted"), "required", ["granted0", "granted1"], ()),
        (
            (*ALL, "unknown"),
            "required",
            ["granted0"],
            ("3 utterances were left out for lack of consent: 1 revoked, 2 unknown",),
        ),
    ],
)
def test_what_may_be_used_is_used_and_the_rest_is_counted(
    consents: tuple[str, ...], policy: Policy, left: list[str], notes: tuple[str, ...]
) -> None:
    """``required`` leaves out revoked and unknown ones; ``optional`` lets unknown ones pass."""
    found = require_consent(spoken(*consents), policy, dataset="words")
    assert [item.id for item in found.utterances] == left
    assert found.notes == notes


def test_revoked_consent_is_refused_with_the_number() -> None:
    """Nobody finds out later that a revoked recording was decoded."""
    with pytest.raises(InvalidInput) as caught:
        require_consent(spoken("revoked", "granted", "revoked"), "optional", dataset="words")
    assert caught.value.message == "2 of 3 selected utterances of words have revoked consent"
    assert "where: {consent: [granted, unknown]}" in (caught.value.hint or "")


def test_nothing_left_is_an_error() -> None:
    """A dataset without any consent gives no report at all."""
    with pytest.raises(InvalidInput, match="may be used: 1 revoked, 1 of unknown consent"):
        require_consent(spoken("revoked", "unknown"), "required", dataset="words")


@pytest.mark.parametrize("policy", ["optional", "required"])
def test_no_policy_lets_a_revoked_recording_through(policy: Policy) -> None:
    """Whoever filters for other purposes never gets a revoked one."""
    left = consented(spoken(*ALL * 2), policy).utterances
    assert Consent.REVOKED not in {item.consent for item in left}


def test_a_suite_selects_by_consent() -> None:
    """``where: {consent: [granted, unknown]}`` is the way out of the refusal."""
    data = dataset(spoken(*ALL))
    chosen = select(data, {"consent": ("granted", "unknown")})
    assert [item.id for item in chosen] == ["granted0", "unknown2"]
    with pytest.raises(InvalidInput, match="has consent in perhaps") as caught:
        select(data, {"consent": ("perhaps",)})
    assert caught.value.hint == "values of consent: granted, revoked, unknown"
