"""The bundled conversations: what their files promise, and that the engines repeat them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import pytest
import soundfile

from relkit.datasets.files import parse_lock, parse_manifest
from relkit.datasets.types import DatasetLock, Utterance
from relkit.evaluation.suites import parse_suite
from tests.conftest import ROOT

DATASET = ROOT / "datasets" / "assistant-talks"
TOOLS = {"set_timer", "cancel_timer", "make_transfer", "get_balance", "get_last_payment"}


@pytest.fixture(scope="module")
def conversations() -> tuple[Utterance, ...]:
    """Read the manifest."""
    text = (DATASET / "manifest.jsonl").read_text(encoding="utf-8")
    return parse_manifest(text, source="manifest.jsonl")


@pytest.fixture(scope="module")
def lock() -> DatasetLock:
    """Read the lock."""
    return parse_lock((DATASET / "lock.json").read_text(encoding="utf-8"), source="lock.json")


def test_nine_scenarios_are_spoken_by_many_voices(conversations: tuple[Utterance, ...]) -> None:
    """Six conversations of each, no scenario with fewer than five voices, in three rooms."""
    voices: dict[str, set[str]] = defaultdict(set)
    for item in conversations:
        assert item.attributes["conversation"] == item.id
        voices[item.attributes["scenario"]].add(item.attributes["voice"])
    assert len(voices) == 9
    assert len(conversations) == 54
    assert min(map(len, voices.values())) >= 5
    assert len(set.union(*voices.values())) >= 10
    rooms = Counter(item.attributes["noise"] for item in conversations)
    assert rooms == {"clean": 27, "kitchen": 18, "echo": 9}


def test_rooms_are_what_their_column_says(conversations: tuple[Utterance, ...]) -> None:
    """Kitchens have noise at 10 dB and a seed of their own, echoes a loudspeaker, others none."""
    seeds = []
    for item in conversations:
        sound, room = item.acoustics, item.attributes["noise"]
        assert (sound is None) == (room == "clean")
        if sound is not None:
            assert (sound.snr_db, sound.echo_db) == {"kitchen": (10, None), "echo": (None, -30)}[
                room
            ]
            seeds += [sound.seed] if room == "kitchen" else []
    assert len(set(seeds)) == 18


def test_every_kind_of_entry_occurs(conversations: tuple[Utterance, ...]) -> None:
    """Turns and what is none, each over the agent's speech and in silence."""
    over: dict[str, set[bool]] = defaultdict(set)
    for item in conversations:
        for entry in item.script:
            over[entry.label].add(entry.when.after == "agent_speech_start")
            assert bool(entry.text) == (entry.label not in {"noise", "vocal_tic"})
    assert over.keys() == {"turn", "backchannel", "non_directed", "vocal_tic", "noise"}
    assert all(len(both) == 2 for both in over.values())


def test_outcomes_name_tools_that_the_agent_has(conversations: tuple[Utterance, ...]) -> None:
    """Every conversation expects something, and each tool is expected somewhere."""
    names = set()
    for item in conversations:
        assert item.expect is not None
        assert item.expect.tools is not None
        names |= {call.name for call in item.expect.tools} | set(item.expect.no_tools)
    assert names <= TOOLS
    assert len(names) >= 4


def test_the_lock_knows_when_everybody_speaks(
    conversations: tuple[Utterance, ...], lock: DatasetLock
) -> None:
    """Each clip of a script has bounds inside it; a pause lies within them."""
    clips = {entry.audio_filepath for item in conversations for entry in item.script}
    assert lock.audio.speech.keys() == clips
    for item in conversations:
        for entry in item.script:
            start, stop = lock.audio.speech[entry.audio_filepath]
            info = soundfile.info(DATASET / entry.audio_filepath)
            assert (info.format, info.samplerate, info.channels) == ("FLAC", 16_000, 1)
            assert 100 < start < stop < 1000 * info.frames / 16_000 - 100
            if item.attributes["scenario"] == "pause" and entry.turn == "u1":
                assert stop - start > 1_500


def test_audio_is_small_and_all_of_it_is_used(
    conversations: tuple[Utterance, ...], lock: DatasetLock
) -> None:
    """At most 2 MB, no stray file, and the lengths of the manifest are those of the clips."""
    files = {str(path.relative_to(DATASET)) for path in (DATASET / "audio").iterdir()}
    assert files == {path for item in conversations for path in item.audio_paths}
    assert files == set(lock.audio.sha256)
    assert sum((DATASET / path).stat().st_size for path in files) <= 2_000_000
    for item in conversations:
        frames = [soundfile.info(DATASET / entry.audio_filepath).frames for entry in item.script]
        assert item.audio.length_s == round(sum(frames) / 16_000, 4)


def test_the_demo_is_short_and_varied(conversations: tuple[Utterance, ...]) -> None:
    """Seven conversations of three scenarios, whose users speak for half a minute in all."""
    suite = parse_suite(
        (ROOT / "eval" / "suites" / "talk-demo.yaml").read_text(encoding="utf-8"), source="demo"
    )
    assert (suite.task, suite.dataset.where) == ("turn", {"subset": ("demo",)})
    chosen = [item for item in conversations if item.attributes["subset"] == "demo"]
    assert Counter(item.attributes["scenario"] for item in chosen) == {
        "pause": 3, "barge_in": 3, "plain": 1
    }  # fmt: skip
    assert sum(item.audio.length_s or 0.0 for item in chosen) < 30
    assert "kitchen" not in {item.attributes["noise"] for item in chosen}


def test_the_stored_files_are_what_the_script_writes(conversations: tuple[Utterance, ...]) -> None:
    """The script's conversations and settings are those of the dataset."""
    build = pytest.importorskip("benchmarks.talk_corpus.build", reason="scipy is not installed")
    assert list(build.makers()) == [item.id for item in conversations]
    assert (DATASET / "dataset.yaml").read_text(encoding="utf-8") == build.DATASET_YAML


@pytest.mark.slow
def test_some_conversations_come_out_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Rebuilding a few with the recorded engines gives the recorded samples."""
    build = pytest.importorskip("benchmarks.talk_corpus.build", reason="scipy is not installed")
    engines = json.loads((DATASET / "provenance.json").read_text(encoding="utf-8"))["engines"]
    corpus = pytest.importorskip("benchmarks.corpus.build")
    if differences := corpus.engine_differences(engines):
        pytest.skip(differences[0])
    status = build.main(["--check", "--only", "6"])
    assert (status, capsys.readouterr().out) == (0, "the rebuilt clips are the same\n")
