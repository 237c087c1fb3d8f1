"""The bundled dataset: what its files promise, and that the engines still give the same samples."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

ROOT = Path(__file__).parents[2]
DATASET = ROOT / "datasets" / "assistant-commands"
ALLOWED = {
    "accent": {"american", "british", "northern", "scottish"},
    "intent": {
        *("timer", "music", "weather", "smart_home", "account", "contact", "correction"),
        "silence",
    },
    "noise": {"clean", "babble", "pink"},
    "snr": {"clean", "20", "10", "0"},
    "channel": {"wideband", "telephone"},
    "rate": {"slow", "normal", "fast"},
    "engine": {"espeak-ng", "flite", "festival", "none"},
    "lang": {"en"},
    "consent": {"granted"},
    "subset": {"demo", "full"},
}
KEYS = [
    *("audio_filepath", "duration", "text", "id", "voice", "accent", "intent", "noise", "snr"),
    *("channel", "rate", "engine", "lang", "consent", "subset", "entities"),
]
SPEECHLESS = {"accent", "snr", "rate"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Read the manifest."""
    text = (DATASET / "manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def spoken(rows: list[Row]) -> list[Row]:
    """Keep the rows in which somebody speaks."""
    return [row for row in rows if row["intent"] != "silence"]


@pytest.fixture(scope="module")
def provenance() -> Row:
    """Read what the samples were made with."""
    found: Row = json.loads((DATASET / "provenance.json").read_text(encoding="utf-8"))
    return found


def counts(rows: list[Row], *columns: str) -> Counter[tuple[str, ...]]:
    """Count the rows of each combination of values."""
    return Counter(tuple(row[column] for column in columns) for row in rows)


def test_ids_are_unique_and_sorted(rows: list[Row]) -> None:
    """Every id occurs once, in order, and names its audio file."""
    ids = [row["id"] for row in rows]
    assert ids == sorted(set(ids))
    assert [row["audio_filepath"] for row in rows] == [f"audio/{name}.flac" for name in ids]


def test_rows_have_the_agreed_keys_and_values(rows: list[Row]) -> None:
    """Each row has the agreed keys in order, and each column only the agreed values."""
    for row in rows:
        missing = SPEECHLESS if row["intent"] == "silence" else set()
        assert list(row) == [key for key in KEYS if key not in missing]
    for column, values in ALLOWED.items():
        assert {row[column] for row in rows if column in row} == values


def test_every_accent_has_at_least_eight_voices(spoken: list[Row]) -> None:
    """Each accent has eight or more voices, in the demo subset too, and each voice one accent."""
    for subset in (spoken, [row for row in spoken if row["subset"] == "demo"]):
        voices: dict[str, set[str]] = defaultdict(set)
        for row in subset:
            voices[row["accent"]].add(row["voice"])
        assert min(len(own) for own in voices.values()) >= 8
        assert sum(map(len, voices.values())) == len(set.union(*voices.values()))


def test_at_least_three_engines_speak(spoken: list[Row]) -> None:
    """Three or more engines speak the sentences."""
    assert len({row["engine"] for row in spoken}) >= 3


def test_texts_are_varied_and_in_reference_form(spoken: list[Row]) -> None:
    """References are lower-case words, with at least 120 sentences used at most three times."""
    texts = Counter(row["text"] for row in spoken)
    assert len(texts) >= 120
    assert max(texts.values()) <= 3
    assert set("".join(texts)) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_entities_are_words_of_the_text(rows: list[Row]) -> None:
    """The text of every entity is a run of whole words of its row's text."""
    for row in rows:
        for entity in row["entities"]:
            assert set(entity) == {"text", "type"}
            assert f" {entity['text']} " in f" {row['text']} "


def test_backgrounds_are_silent_clusters_of_their_own(rows: list[Row]) -> None:
    """Eight clips without words stand each for itself, half of them in the demo subset."""
    silent = [row for row in rows if row["intent"] == "silence"]
    assert all(row["text"] == "" for row in silent)
    assert {row["voice"] for row in silent} == {f"background-{n}" for n in range(1, 9)}
    assert counts(silent, "subset") == {("demo",): 4, ("full",): 4}


def test_conditions_are_crossed(spoken: list[Row]) -> None:
    """Accent, noise, level, channel and rate are fully crossed, and half of the clips are clean."""
    cells = counts(spoken, "accent", "noise", "snr", "channel", "rate")
    noisy = {cell: n for cell, n in cells.items() if cell[1] != "clean"}
    assert len(noisy) == 4 * 2 * 3 * 2 * 3
    assert set(noisy.values()) == {1}
    assert len(cells) - len(noisy) == 4 * 2 * 3
    assert {n for cell, n in cells.items() if cell[1] == "clean"} == {6}


@pytest.mark.parametrize("other", ["accent", "noise", "snr", "channel", "rate", "subset"])
def test_intents_are_spread_evenly(spoken: list[Row], other: str) -> None:
    """Every intent meets each level of another column about equally often."""
    pairs = counts(spoken, other, "intent")
    for level in {row[other] for row in spoken}:
        own = [n for (value, _), n in pairs.items() if value == level]
        assert len(own) == 7
        assert max(own) - min(own) <= 2


def test_the_demo_subset_is_balanced(rows: list[Row], spoken: list[Row]) -> None:
    """About 150 demo clips hold every level of every column in even shares."""
    demo = [row for row in spoken if row["subset"] == "demo"]
    assert 140 <= sum(row["subset"] == "demo" for row in rows) <= 160
    for columns in (("accent",), ("channel",), ("rate",), ("accent", "noise"), ("intent",)):
        found, whole = counts(demo, *columns), counts(spoken, *columns)
        assert set(found) == set(whole)
        assert all(abs(2 * found[value] - whole[value]) <= 2 for value in whole)


def test_durations_and_rates_are_those_of_the_audio(rows: list[Row]) -> None:
    """Each file is 16-bit mono FLAC at its channel's rate, as long as the manifest says."""
    for row in rows:
        info = soundfile.info(DATASET / row["audio_filepath"])
        assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
        assert info.samplerate == {"wideband": 16_000, "telephone": 8_000}[row["channel"]]
        assert row["duration"] == round(info.frames / info.samplerate, 4)
    assert 1.7 <= sum(row["duration"] for row in rows) / len(rows) <= 2.4


def test_stored_samples_are_those_recorded(rows: list[Row], provenance: Row) -> None:
    """The decoded samples of every file have the recorded digest and none is clipped."""
    dataset = pytest.importorskip("benchmarks.corpus.dataset", reason="scipy is not installed")
    found = {row["id"]: dataset.stored_digest(DATASET / row["audio_filepath"]) for row in rows}
    assert found == provenance["samples"]
    for row in rows:
        samples, _ = soundfile.read(DATASET / row["audio_filepath"], dtype="int16")
        assert abs(samples.astype(int)).max() < 32_767


def test_the_folder_is_small_and_holds_no_strays(rows: list[Row]) -> None:
    """The dataset is at most 16 MB and every audio file is in the manifest."""
    files = [path for path in DATASET.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000
    audio = {path.relative_to(DATASET).as_posix() for path in files if path.suffix == ".flac"}
    assert audio == {row["audio_filepath"] for row in rows}


def test_dataset_yaml_declares_the_columns(rows: list[Row]) -> None:
    """The cluster and slice columns of dataset.yaml are columns of the manifest."""
    declared = yaml.safe_load((DATASET / "dataset.yaml").read_text(encoding="utf-8"))
    assert declared["schema"] == "relkit.dataset/v1"
    assert declared["licence"] == "CC0-1.0"
    assert {declared["cluster"], *declared["slices"]} <= set(rows[-1])


@pytest.mark.slow
def test_some_clips_come_out_the_same_again(
    provenance: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rebuilding a few clips with the recorded engines gives the recorded samples."""
    build = pytest.importorskip("benchmarks.corpus.build", reason="scipy is not installed")
    if differences := build.engine_differences(provenance["engines"]):
        pytest.skip(differences[0])
    status = build.main(["--check", "--only", "6"])
    assert (status, capsys.readouterr().out) == (0, "the rebuilt clips are the same\n")
