"""What changed between two versions, and what a dataset holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.datasets.types import (
    AudioSpan,
    Bins,
    Consent,
    Dataset,
    DatasetSnapshot,
    Entity,
    Utterance,
)
from relkit.datasets.versions import (
    compare_snapshots,
    coverage,
    registered_values,
    slice_columns_of,
    text_numbers,
)
from tests.builders import dataset, utterance

LENGTH = Bins(name="length", column="duration", edges=(1.0, 10.0))


def said(name: str, length: float | None = 2.0, **fields: Any) -> Utterance:  # noqa: ANN401  # any field
    """Return an utterance of speaker s1 with a plain accent."""
    span = AudioSpan(path=f"/data/{name}.wav", length_s=length)
    given = {"audio": span, "attributes": {"accent": "plain", "speaker": "s1"}}
    return utterance(name, **(given | fields))


def snapshot(
    utterances: Sequence[Utterance],
    audio: Mapping[str, str] | None = None,
    *,
    known: bool = True,
) -> DatasetSnapshot:
    """Return a version that holds these, with the same audio under each id unless said."""
    found = {item.id: "1" for item in utterances} | dict(audio or {})
    return DatasetSnapshot(
        dataset=dataset(utterances, slices=("accent",)),
        audio=found if known else None,
        files={f"{item.id}.wav": found.get(item.id) for item in utterances},
        lock=None,
        present=True,
    )


BASE = [said("a"), said("b")]


def test_nothing_changed() -> None:
    """The same twice: no list has anything, and the coverage stands still."""
    found = compare_snapshots(snapshot(BASE), snapshot(BASE))
    assert not found.any
    assert all(m.utterances[0] == m.utterances[1] for m in found.coverage)


def test_added_and_removed() -> None:
    """By id, and coverage follows."""
    found = compare_snapshots(snapshot(BASE), snapshot([BASE[0], said("c"), said("d")]))
    assert (found.added, found.removed, found.any) == (("c", "d"), ("b",), True)
    assert found.relabelled == ()
    overall = found.coverage[0]
    assert (overall.slice, overall.utterances, overall.clusters) == ("overall", (2, 3), (1, 1))


@pytest.mark.parametrize(
    "fields", [{"reference": "hello where"}, {"entities": (Entity(text="hello", type="other"),)}]
)
def test_relabelled(fields: dict[str, Any]) -> None:
    """Text or entities; the id is all that is said of it."""
    found = compare_snapshots(snapshot(BASE), snapshot([replace(BASE[0], **fields), BASE[1]]))
    assert found.relabelled == ("a",)
    assert (found.attributes, found.audio) == ({}, ())


def test_attributes_and_consent() -> None:
    """Which columns of which utterance changed, and where consent moved."""
    other = said("a", attributes={"speaker": "s2", "noise": "pink"}, consent=Consent.REVOKED)
    found = compare_snapshots(snapshot(BASE), snapshot([other, BASE[1]]))
    assert found.attributes == {"a": ("accent", "noise", "speaker")}
    assert found.consent == {"a": ("unknown", "revoked")}
    moves = {m.slice: (m.utterances, m.clusters) for m in found.coverage}
    assert moves == {
        "overall": ((2, 2), (1, 2)),
        "accent=plain": ((2, 1), (1, 1)),
        "accent=(none)": ((0, 1), (0, 1)),
    }


def test_other_audio_and_other_segments() -> None:
    """Bytes, or the part of them that is heard; a length that is only said is no change."""
    found = compare_snapshots(snapshot(BASE), snapshot(BASE, {"b": "2"}))
    assert found.audio == ("b",)
    cut = said("a", audio=AudioSpan(path="/data/a.wav", offset_s=1.0, length_s=2.0))
    longer = replace(cut, audio=replace(cut.audio, length_s=3.0))
    assert compare_snapshots(snapshot([cut]), snapshot([longer])).audio == ("a",)
    assert compare_snapshots(snapshot([said("a", 1.0)]), snapshot([said("a", 2.0)])).audio == ()


@pytest.mark.parametrize("known", [(True, False), (False, True), (False, False)])
def test_audio_that_no_lock_tells_is_not_called_the_same(known: tuple[bool, bool]) -> None:
    """Unknown is neither changed nor unchanged."""
    old, new = (snapshot(BASE, known=k) for k in known)
    assert compare_snapshots(old, new).audio is None


def test_settings_that_shape_a_measurement() -> None:
    """Another cluster column or other bins make another version of the same rows."""
    old = snapshot(BASE)
    settings = replace(old.dataset.settings, cluster="accent", bins=(LENGTH,))
    new = replace(old, dataset=replace(old.dataset, settings=settings))
    found = compare_snapshots(old, new)
    assert (found.settings, found.any) == (("cluster", "bins"), True)


def held(utterances: Sequence[Utterance]) -> Dataset:
    """Return a dataset cut by accent, by a column it lacks, and by length."""
    return dataset(utterances, slices=("accent", "nowhere"), bins=(LENGTH,))


def test_values_are_registered_in_order() -> None:
    """Names in order with the missing last, bins by their ends and not as text."""
    found = held([said("a", 0.5), said("b", 2.0, attributes={}), said("c", 11.0)])
    assert registered_values(found) == {
        "accent": ("plain", "(none)"),
        "length": ("[-inf,1)", "[1,10)", "[10,inf)"),
    }
    assert slice_columns_of(found)[1] == ("nowhere",)


def test_lengths_that_the_manifest_lacks_register_nothing() -> None:
    """A guess would make a later decision miss a slice that is there."""
    found = held([said("a"), said("b", None)])
    assert "length" not in registered_values(found)
    assert slice_columns_of(found)[1] == ("nowhere", "length")
    overall = coverage(found)[0]
    assert (overall.utterances, overall.seconds) == (2, None)


def test_coverage_counts_utterances_clusters_and_seconds() -> None:
    """By value of each slice column, ``overall`` first."""
    rows = [said("a"), said("b", attributes={"accent": "a=b", "speaker": "s2"}), said("c")]
    found = {item.slice: item for item in coverage(held(rows))}
    assert list(found) == ["overall", "accent=a%3Db", "accent=plain", "length=[1,10)"]
    assert (found["overall"].clusters, found["overall"].seconds) == (2, 6.0)
    assert (found["accent=plain"].utterances, found["accent=plain"].seconds) == (2, 4.0)


def test_text_is_told_in_numbers() -> None:
    """Words are the scorer's, in every script; an empty reference has none."""
    references = {"a": " one  two ", "b": " ", "c": "打开客厅的灯", "d": "\u200b"}
    found = text_numbers([said(name, reference=text) for name, text in references.items()])
    assert (found.words, found.empty, found.shortest, found.longest) == (8, 2, 0, 6)


ACCENTS = st.sampled_from(["x", "y", ""])
ROWS = st.lists(ACCENTS, min_size=1, max_size=8).map(
    lambda accents: [
        said(f"u{i}", attributes={"accent": accent, "speaker": accent})
        for i, accent in enumerate(accents)
    ]
)


@settings(max_examples=60)
@given(ROWS, ROWS)
def test_a_diff_turned_round_says_the_opposite(old: list[Utterance], new: list[Utterance]) -> None:
    """Added is removed, before is after, and the slices of a column add up to all."""
    forth, back = (
        compare_snapshots(snapshot(old), snapshot(new)),
        compare_snapshots(snapshot(new), snapshot(old)),
    )
    assert (forth.added, forth.removed) == (back.removed, back.added)
    assert forth.attributes == back.attributes
    turned = {m.slice: m.utterances[::-1] for m in back.coverage}
    assert {m.slice: m.utterances for m in forth.coverage} == turned
    overall, *slices = forth.coverage
    assert sum(m.utterances[1] for m in slices) == overall.utterances[1] == len(new)
