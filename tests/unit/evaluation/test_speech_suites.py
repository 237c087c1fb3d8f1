"""Suites of systems that speak, and what their runs keep: files, journal, floor."""

import json
from dataclasses import replace

import pytest

from relkit.audio.types import SpokenAudio
from relkit.core.codec import encode, parse
from relkit.datasets.selection import cluster_of
from relkit.evaluation.run_files import parse_line, render_line
from relkit.evaluation.speak import floor_metrics
from relkit.evaluation.suites import parse_suite, suite_digest
from relkit.evaluation.types import Flite, Outcome, Suite
from tests.builders import counts, outcome, result, scored, suite, utterance

SUITE = """\
name: say
dataset: {name: words}
task: tts
cluster: id
system: {kind: espeak-ng}
recogniser: {kind: faster-whisper, model: tiny.en}
"""
SYSTEMS = (
    "{kind: espeak-ng, voice: en-gb+f3, rate: 120, pitch: 40}",
    "{kind: flite, voice: rms, rate: 1.5, pitch: 90.5}",
    "{kind: hibari-tts, seed: 3}",
    "{kind: openai-http, base_url: 'http://localhost:1', model: m, voice: alloy, rate: 1.1}",
    "{kind: command, run: ./speak}",
)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "recogniser",
    [
        "{kind: faster-whisper, model: tiny.en}",
        "{kind: openai-http, base_url: 'http://localhost:1', model: m, stream: true}",
        "{kind: command, run: ./listen}",
    ],
)
def test_a_stored_suite_is_the_suite_of_the_file(system: str, recogniser: str) -> None:
    """A server that listens and one that speaks are told apart on the way back, too."""
    text = SUITE.replace("{kind: espeak-ng}", system)
    found = suite(text.replace("{kind: faster-whisper, model: tiny.en}", recogniser))
    document = json.loads(json.dumps(encode(found)))
    assert parse(Suite, document, source="run.json") == found


def test_engines_share_a_suite_and_recognisers_do_not() -> None:
    """Two engines can be compared; heard by another recogniser it is another measurement."""
    digests = {
        suite_digest(suite(SUITE.replace("{kind: espeak-ng}", system))) for system in SYSTEMS
    }
    assert digests == {suite_digest(suite(SUITE))}
    assert suite_digest(suite(SUITE.replace("tiny.en", "base.en"))) not in digests


def test_the_engine_can_be_changed_on_the_command_line() -> None:
    """Another kind starts from nothing, and a server needs a voice."""
    found = parse_suite(SUITE, source="s.yaml", system=["kind=flite", "voice=slt"])
    assert found.system == Flite(voice="slt", rate=1.0)


SPEECH = SpokenAudio(
    leading_silence_ms=1.5,
    trailing_silence_ms=0.0,
    clipped=0,
    dropouts=2,
    first_audio_ms=20.25,
)


@pytest.mark.parametrize("speech", [None, SPEECH, replace(SPEECH, warm_up_ms=4.5)])
def test_what_was_measured_survives_the_journal(speech: SpokenAudio | None) -> None:
    """A resumed run knows of a clip what the killed one knew."""
    done = outcome()
    item = Outcome(
        id=done.id,
        repeat=0,
        prediction=done.prediction,
        audio=done.audio,
        duration=1.0,
        speech=speech,
    )
    assert parse_line(render_line(item), line=1) == item


def test_an_id_is_a_cluster_of_its_own() -> None:
    """With the column id every utterance stands for itself, whoever spoke."""
    spoken = utterance("u7", attributes={"speaker": "s1"})
    assert (cluster_of(spoken, "id"), cluster_of(spoken, "speaker")) == ("u7", "s1")
    assert cluster_of(spoken, "accent") == "(none)"


def test_the_floor_is_the_corpus_rate_with_a_clustered_interval() -> None:
    """Errors over words of all recordings, clusters from the data, unusable ones left out."""
    rows = [result(f"u{i}", counts(8, i % 3, 0, 0), cluster=f"s{i % 6}") for i in range(12)] + [
        result("gone", score=None, unusable="missing", failure=None)
    ]
    found = floor_metrics(rows)
    words = sum(8 + i % 3 for i in range(12))
    assert found["wer"].value == pytest.approx(12 / words)
    assert found["wer"].clusters == 6
    assert found["wer"].low is not None
    assert found["wer"].low < 12 / words
    assert "entity_error_rate" not in found
    one = result("x", score=scored(counts(1, 0, 0, 900)))
    assert floor_metrics([one])["wer_capped"].value == 1.0
