"""Facts that contracts judge, the file they are written in, and the outcome that is stored."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relkit.core.codec import encode
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Named
from relkit.curation.check import doubts
from relkit.curation.contracts import (
    LABEL,
    LEAKAGE,
    NOTES,
    ClipFacts,
    clip_facts,
    conversation_facts,
    default_expectations,
    slice_facts,
    utterance_facts,
)
from relkit.curation.files import (
    parse_contract,
    parse_outcome,
    render_contract,
    render_outcome,
)
from relkit.curation.types import (
    Contract,
    ContractMeta,
    ContractOutcome,
    ContractSettings,
    Doubt,
    Expectation,
    ExpectationSettings,
    Judged,
    State,
)
from relkit.curation.view import check_text
from relkit.datasets.types import Bins, Clip, Unusable, UnusableReason, Utterance
from tests.builders import DIGEST, dataset, utterance

RATE = 8_000


def clip(samples: NDArray[np.float64]) -> Clip:
    """Return a clip of these samples."""
    data = samples.astype("<f4").tobytes()
    return Clip(samples=data, sample_rate=RATE, digest="sha256:d", path="", whole=True)


def test_a_sine_is_heard_as_it_is() -> None:
    """Level, peak and length of a tone are what mathematics says."""
    tone = 0.5 * np.sin(np.arange(RATE) * 2 * math.pi * 400 / RATE)
    found = clip_facts(clip(tone))
    assert (found.state, found.sample_rate, found.duration) == ("ok", RATE, 1.0)
    assert found.peak == pytest.approx(0.5)
    assert found.level_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)))
    assert (found.clipped_share, found.silence_share) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("samples", "clipped", "silent"),
    [
        (np.full(RATE, 1.0), 1.0, 0.0),
        (np.concatenate([np.full(2000, -1.0), np.full(6000, 0.5)]), 0.25, 0.0),
        (np.full(RATE, 0.998), 0.0, 0.0),
        (np.zeros(RATE), 0.0, 1.0),
        (np.concatenate([np.full(1600, 0.1), np.full(6400, 0.0009)]), 0.0, 0.8),
        (np.full(1, 0.1), 0.0, 0.0),
    ],
)
def test_clipping_and_silence_are_shares(
    samples: NDArray[np.float64], clipped: float, silent: float
) -> None:
    """Full scale in samples, silence in frames of 20 ms."""
    found = clip_facts(clip(samples))
    assert found.clipped_share == pytest.approx(clipped)
    assert found.silence_share == pytest.approx(silent)


def test_digital_silence_has_no_level() -> None:
    """The logarithm of nothing is no number to compare."""
    assert clip_facts(clip(np.zeros(100))).level_dbfs is None


def test_audio_that_cannot_be_decoded_has_a_reason_and_no_numbers() -> None:
    """What was not heard is missing, never 0."""
    found = clip_facts(Unusable(reason=UnusableReason.TRUNCATED, detail="x"))
    assert found == ClipFacts(state="truncated")


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("tab\there", "text_control_characters", 1),
        ("zero\ufeffwidth\u202e", "text_control_characters", 2),
        ("replaced \ufffd", "text_control_characters", 1),
        ("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "text_control_characters", 0),
        ("e\u0301", "text_nfc", False),
        ("\u00e9", "text_nfc", True),
        ("two  and   three", "text_double_spaces", 2),
        ("one and one", "text_double_spaces", 0),
        (" before", "text_outer_spaces", True),
        ("after\n", "text_outer_spaces", True),
        ("three short words", "text_words", 3),
        ("打开客厅的灯", "text_words", 6),
        ("three", "text_characters", 5),
    ],
)
def test_text_facts(text: str, column: str, value: object) -> None:
    """Each defect of a text has a number of its own; joiners that a script needs are none."""
    assert facts([utterance(reference=text)])[column] == [value]


def facts(items: list[Utterance], **given: Any) -> Mapping[str, Any]:  # noqa: ANN401  # any argument
    """Return the columns of the utterance facts, with audio that is fine."""
    sounds = {item.id: ClipFacts(state="ok", digest=item.id, duration=1.0) for item in items}
    arguments = {"split": None, "alike": 0.9, "labels": None} | given
    heard_here = arguments.pop("sounds", sounds)
    return utterance_facts(dataset(items), heard_here, **arguments).columns


def test_missing_stays_missing() -> None:
    """A column some rows lack, a length nobody wrote, audio nobody could decode: all None."""
    items = [utterance("a", attributes={"accent": "plain"}), utterance("b", attributes={})]
    columns = facts(
        items, sounds={"a": ClipFacts(state="ok", duration=1.5), "b": ClipFacts(state="empty")}
    )
    assert columns["accent"] == ["plain", None]
    assert columns["duration"] == [1.5, None]
    assert columns["duration_difference"] == [None, None]
    assert columns["audio_copies"] == [None, None]
    assert not set(LEAKAGE + LABEL) & set(columns)


def test_a_conversation_is_as_bad_as_the_worst_of_its_files() -> None:
    """Lengths of its script add up; the loudest, the most clipped and the first broken count."""
    quiet = ClipFacts(
        state="ok", digest="sha256:1", duration=1.0, sample_rate=16000, peak=0.1, level_dbfs=-40.0,
        clipped_share=0.0, silence_share=0.5,
    )  # fmt: skip
    loud = replace(quiet, digest="sha256:2", peak=1.0, level_dbfs=-10.0, clipped_share=0.1)
    facts = conversation_facts([quiet, quiet, loud], [quiet, loud])
    assert (facts.state, facts.duration, facts.sample_rate) == ("ok", 3.0, 16000)
    assert (facts.peak, facts.clipped_share, facts.level_dbfs) == (1.0, 0.1, -40.0)
    assert facts.digest not in {quiet.digest, loud.digest}
    other = replace(loud, sample_rate=8000)
    assert conversation_facts([quiet, other], [quiet, other]).sample_rate is None
    broken = ClipFacts(state="truncated")
    assert conversation_facts([quiet, broken], [quiet, broken]) == broken


def test_copies_of_a_recording_are_counted() -> None:
    """The same samples under two names are one recording."""
    items = [utterance(name) for name in "abc"]
    sounds = {
        name: ClipFacts(state="ok", digest="same" if name != "c" else "other", duration=1.0)
        for name in "abc"
    }
    assert facts(items, sounds=sounds)["audio_copies"] == [1, 1, 0]


def test_a_manifest_column_cannot_pose_as_a_fact() -> None:
    """Nobody can write ``audio_state: ok`` into a manifest."""
    with pytest.raises(InvalidInput, match='"audio_state" has the name of a fact'):
        facts([utterance(attributes={"audio_state": "ok"})])


def test_slices_are_counted_with_their_speakers() -> None:
    """One row per value, missing ones included; nobody is no speaker; bins use heard lengths."""
    items = [
        utterance("a", attributes={"accent": "plain", "speaker": "s1"}),
        utterance("b", attributes={"accent": "plain", "speaker": "s1"}),
        utterance("c", attributes={"accent": "broad"}),
        utterance("d", attributes={"speaker": "s2"}),
    ]
    data = dataset(
        items, slices=("accent",), bins=(Bins(name="length", column="duration", edges=(1.0,)),)
    )
    sounds = {name: ClipFacts(state="ok", duration=float(i)) for i, name in enumerate("abcd")}
    table = slice_facts(data, sounds)
    assert table.rows == 6
    rows = zip(*(table.columns[name] for name in ("slice", "utterances", "speakers")), strict=True)
    assert list(rows) == [
        ("overall", 4, 2),
        ("accent=(none)", 1, 1),
        ("accent=broad", 1, 0),
        ("accent=plain", 2, 1),
        ("length=[-inf,1)", 1, 1),
        ("length=[1,inf)", 3, 2),
    ]
    assert table.columns["seconds"][0] == 6.0


REFERENCES = {f"u{i}": "one two three four" for i in range(5)} | {"empty": ""}
SPEAKERS = dict.fromkeys(REFERENCES, "s")


def test_one_bad_label_among_good_ones_stands_out() -> None:
    """High error where the speaker's other clips are fine is a candidate for a wrong label."""
    said = dict.fromkeys(REFERENCES, "one two three four") | {"u3": "call the office now please"}
    found = doubts(REFERENCES, [said], SPEAKERS)
    assert found["u3"].excess == 1.0
    assert found["u0"].excess == pytest.approx(-4 / 16)
    assert found["empty"] == Doubt()
    assert found["empty"].excess is None


def test_a_system_that_understands_clears_the_label() -> None:
    """A label that any system confirms is not doubted: the lowest rate counts."""
    bad = dict.fromkeys(REFERENCES, "no no no no")
    good = dict.fromkeys(REFERENCES, "one two three four")
    assert doubts(REFERENCES, [bad], SPEAKERS)["u0"].rate == 1.0
    both = doubts(REFERENCES, [bad, good], SPEAKERS)["u0"]
    assert (both.rate, both.systems) == (0.0, 2)


def test_a_speaker_with_few_clips_is_compared_with_everyone() -> None:
    """Two clips of one voice say nothing about each other."""
    speakers = SPEAKERS | {"u4": "other"}
    said = dict.fromkeys(REFERENCES, "one two three four") | {"u4": ""}
    found = doubts(REFERENCES, [said], speakers)
    assert (found["u4"].rate, found["u4"].neighbours) == (1.0, 0.0)
    assert doubts({"u0": "one"}, [{"u0": "one"}], {"u0": "s"})["u0"].neighbours is None
    assert doubts({"u0": "one"}, [], {"u0": "s"})["u0"] == Doubt()


SUITE = """\
{
  "name": "words",
  "expectations": [
    {
      "type": "expect_column_values_to_be_unique",
      "kwargs": {"column": "id"},
      "meta": {"why": "as it should be", "relkit": {"table": "utterances"}},
      "severity": "critical"
    },
    {
      "type": "expect_column_values_to_be_between",
      "kwargs": {"column": "speakers", "min_value": 3},
      "meta": {"relkit": {"table": "slices", "needs": "run"}},
      "severity": "warning"
    }
  ],
  "meta": {"great_expectations_version": "1.24.1", "relkit": {"split": "subset"}}
}
"""


def test_a_contract_is_read_with_its_lines() -> None:
    """Expectations keep where they stand; settings stand below ``meta.relkit``."""
    contract = parse_contract(SUITE.encode(), source="words/contract.json")
    settings = contract.settings
    assert (contract.name, settings.split, settings.alike) == ("words", "subset", 0.9)
    assert contract.digest == sha256_bytes(SUITE.encode())
    first, second = contract.expectations
    assert (first.line, second.line) == (4, 10)
    assert (first.settings.table, first.column, first.severity) == ("utterances", "id", "critical")
    assert second.settings == ExpectationSettings(table="slices", needs="run")
    assert second.severity == "warning"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"words",', '"words"', "line 3: not JSON"),
        ('"kwargs": {"column": "id"}', '"kwarg": {"column": "id"}', 'line 6: unknown key "expecta'),
        ('"type": "expect_column_values_to_be_unique",', "", 'line 4: the key "expectations.0.typ'),
        ('"severity": "warning"', '"severity": "fatal"', 'line 14: "expectations.1.severity"'),
        ('"needs": "run"', '"need": "run"', 'line 13: unknown key "expectations.1.meta.relkit.ne'),
        ('"table": "slices"', '"table": "speakers"', 'line 13: "expectations.1.meta.relkit.table"'),
        ('"split": "subset"', '"alike": 0.5', 'line 17: "meta.relkit.alike"'),
        ('"name": "words"', '"name": "a", "name": "b"', 'line 2: the key "name" stands twice'),
        ('"min_value": 3', '"min_value": NaN', "line 12: NaN is no JSON number"),
        ('"name": "words"', '"name": "w", "suite_parameters": {"a": 1}', "suite_parameters are"),
        (SUITE, "[]", "a mapping of keys to values was expected"),
        (SUITE, "", "line 1: not JSON"),
    ],
)
def test_a_broken_contract_is_named_with_its_line(before: str, after: str, message: str) -> None:
    """A typing error costs a look at one line."""
    assert before in SUITE
    text = SUITE.replace(before, after, 1)
    with pytest.raises(InvalidInput) as caught:
        parse_contract(text.encode(), source="words/contract.json")
    assert message in caught.value.message
    assert caught.value.message.startswith("words/contract.json")


def test_tabs_are_json_too() -> None:
    """JSON that YAML's reader refuses is read all the same."""
    contract = parse_contract(SUITE.replace("  ", "\t").encode(), source="words/contract.json")
    assert len(contract.expectations) == 2


def test_what_is_written_is_read_again() -> None:
    """A contract survives its file, and so does a first one made from data."""
    items = [utterance("a", attributes={"accent": "plain", "speaker": "s1"})]
    data = dataset(items, slices=("accent",))
    sounds = {"a": ClipFacts(state="ok", duration=1.0, sample_rate=16_000)}
    table = utterance_facts(data, sounds, split=None, alike=1.0, labels=None)
    wanted = tuple(default_expectations(data, table, slice_facts(data, sounds)))
    meta = ContractMeta(relkit=ContractSettings(split="accent", alike=0.8))
    contract = Contract(name="words", expectations=wanted, meta=meta, notes=NOTES)
    text = render_contract(contract)
    again = parse_contract(text.encode(), source="words/contract.json")
    assert [normal(item) for item in again.expectations] == [normal(item) for item in wanted]
    assert (again.settings.split, again.settings.alike) == ("accent", 0.8)


def normal(item: Expectation) -> Expectation:
    """Return an expectation without what a file adds to it."""
    return replace(item, line=None)


def judged(state: State = "passed", **given: Any) -> Judged:  # noqa: ANN401  # any field
    """Return an outcome of one expectation."""
    wanted = Expectation(type="expect_column_values_to_be_unique", kwargs={"column": "id"})
    return Judged.of(wanted, state, **given)


def outcome(*items: Judged) -> ContractOutcome:
    """Return an outcome of these."""
    return ContractOutcome(
        dataset=Named(name="words", digest=DIGEST),
        contract=Named(name="words", digest=DIGEST),
        checked="2026-01-31T12:00:00Z",
        expectations=items,
    )


@pytest.mark.parametrize(
    ("items", "passed", "problems"),
    [
        ([judged()], True, ()),
        ([judged(), judged("warning")], True, ()),
        ([judged(), judged("not_checked", evaluated=False)], True, ()),
        ([judged(), judged("failed")], False, ()),
        ([], False, ("the contract declares no expectation",)),
        ([judged("not_checked", evaluated=False)], False, ("no expectation was evaluated",)),
        (
            [judged(), judged(loaded=False, evaluated=False)],
            False,
            ("1 of 2 declared expectations could not be loaded",),
        ),
    ],
)
def test_only_a_contract_that_was_judged_whole_is_kept(
    items: list[Judged],
    passed: bool,  # noqa: FBT001  # a column of the table above
    problems: tuple[str, ...],
) -> None:
    """Declared, loaded and evaluated are compared; a lost expectation is never a pass."""
    found = outcome(*items)
    assert (found.passed, found.problems) == (passed, problems)
    assert parse_outcome(render_outcome(found), source="x.json").outcome == (
        "passed" if passed else "failed"
    )


def test_an_expectation_has_one_row_with_what_broke_first() -> None:
    """A row begins with its outcome and counts; what it is about and found is the last cell."""
    failed = judged("failed", values=9, unexpected=2, found={"x": 2})
    rows = check_text(outcome(judged(values=9, unexpected=0), failed)).splitlines()[3:]
    assert rows == [
        "        judged  unexpected  expectation",
        "failed       9           2  id: values to be unique; x (2)",
        "passed       9           0  id: values to be unique",
    ]


def test_a_stored_outcome_that_contradicts_itself_is_refused() -> None:
    """Writing "passed" into the file changes nothing."""
    document = encode(outcome(judged("failed"))) | {"outcome": "passed"}
    with pytest.raises(InvalidInput, match="its expectations say otherwise"):
        parse_outcome(json.dumps(document), source="x.json")
