"""Consent of cloned voices: whose is granted today, and that the list is whole."""

import pytest

from relkit.core.errors import InvalidInput, NoData
from relkit.safety.types import SafetyCounts
from relkit.safety.voice_files import parse_voices
from relkit.safety.voices import consents, imported_voices

LIST = """\
schema: relkit.voices/v1
served: [anna, ben, cleo, dan, eve, fay]
voices:
  anna: {consent: granted}
  ben: {consent: granted, until: 2026-12-01}
  cleo: {consent: granted, until: 2026-11-30}
  dan: {consent: revoked, until: 2027-01-01}
  eve: {}
  gus: {cloned: false}
  hal: {consent: granted}
"""


def test_only_consent_that_holds_today_counts() -> None:
    """Expired, revoked, unknown and unlisted voices have none; the last day counts."""
    listed, lines = parse_voices(LIST, source="voices.yaml")
    assert (lines["anna"], lines["fay"]) == (4, 2)
    assert consents(listed, "2026-12-01") == {
        "anna": None,
        "ben": None,
        "cleo": "expired",
        "dan": "revoked",
        "eve": "unknown",
        "fay": "not in the list",
        "hal": None,
    }
    assert consents(listed, "2026-12-02")["ben"] == "expired"


def test_voices_are_rows_of_a_run() -> None:
    """Each cloned voice is a row and a cluster; the note says for which day."""
    results = imported_voices(parse_voices(LIST, source="v")[0], "2026-12-01")
    counts = [answer.counts for answer in results.answers]
    assert counts.count(SafetyCounts(voices=1, consented_voices=1)) == 3
    assert counts.count(SafetyCounts(voices=1)) == 4
    assert results.notes == (
        "consent of 7 cloned voices as of 2026-12-01 (UTC)",
        "without consent: 1 expired, 1 not in the list, 1 revoked, 1 unknown",
    )


def test_list_without_a_clone_measures_nothing() -> None:
    """A share of no voices is no number."""
    text = "schema: relkit.voices/v1\nserved: [gus]\nvoices: {gus: {cloned: false}}\n"
    with pytest.raises(NoData):
        imported_voices(parse_voices(text, source="v")[0], "2026-12-01")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("served: [a]\n", "schema"),
        ("schema: relkit.voices/v1\nserved: []\n", "v.yaml, line 2"),
        ("schema: relkit.voices/v1\nvoices: {}\n", "served"),
        (LIST + "  ivy: {consent: maybe}\n", "v.yaml, line 11"),
        (LIST + "  ivy: {until: soon}\n", "v.yaml, line 11"),
        (LIST + "  ivy: {consented: true}\n", "v.yaml, line 11"),
        (LIST + "  anna: {}\n", "line 11"),
    ],
)
def test_list_that_is_none_is_refused_with_its_line(text: str, message: str) -> None:
    """Unknown keys and words, no voice, and a voice that stands twice."""
    with pytest.raises(InvalidInput) as caught:
        parse_voices(text, source="v.yaml")
    assert message in caught.value.message
