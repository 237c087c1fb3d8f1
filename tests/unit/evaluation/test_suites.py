"""Suites: what they become, what is refused, what systems that speak need, and their digest."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.audio.types import SpokenAudio
from relkit.core.codec import encode, parse
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import SystemId
from relkit.datasets.selection import cluster_of
from relkit.evaluation.run_files import parse_journal_line, render_journal_line
from relkit.evaluation.speak import floor_metrics
from relkit.evaluation.suites import (
    changed_settings,
    parse_suite,
    suite_digest,
    system_name,
)
from relkit.evaluation.types import Command, FasterWhisper, Flite, Outcome, Recorded, Suite
from tests.builders import MINIMAL_SUITE as MINIMAL
from tests.builders import SUITE, counts, header, outcome, result, scored, suite, system, utterance

SPELT_OUT = """\
schema: relkit.suite/v1
name: small
dataset: {name: words, where: {}}
task: asr
normalizer: none
segmenter: auto
metrics: [wer, wer_capped, cer]
slices: []
keywords: []
cluster: null
max_audio_s: 600
system: {kind: recorded, path: answers.jsonl, timeout_s: 60, retries: 1}
"""


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("normalizer:", "normaliser:"), 'unknown key "normaliser"', 'did you mean "normalizer"?'),
        (("system:", "sytem:"), 'unknown key "sytem"', 'did you mean "system"?'),
        (("wer,", "wier,"), 'unknown metric "wier"; did you mean "wer"?', None),
        (("latency_ms]", "latency_ms.p42]"), 'unknown metric "latency_ms.p42"', None),
        (("wer,", "wer.,"), 'unknown metric "wer."', None),
        (("wer,", "wer.p95,"), 'unknown metric "wer.p95"', None),
        (("metrics: [wer, latency_ms]", "metrics: []"), "at least 1 item", None),
        (("kind: recorded", "kind: recoded"), 'kind "recoded"', 'did you mean "recorded"?'),
        (("kind: recorded, ", ""), 'the key "system.kind" is missing', "known: faster-whisper,"),
        (("kind: recorded", "kind: [a]"), "unknown system kind", "known: command,"),
        (("path:", "pfad:"), 'unknown key "system.pfad"', None),
        (("path: answers.jsonl", "path: ''"), '"system.path": String should have at least', None),
        (("{kind: recorded, path: answers.jsonl}", "recorded"), '"system": a mapping', None),
        (("where: {accent: [plain, broad]}", "where: {accent: 3}"), "dataset.where.accent", None),
        (("name: words, ", ""), 'the key "dataset.name" is missing', None),
        (("name: small", "name: 3"), '"name": Input should be a valid string', None),
        (("suite/v1", "suite/v2"), "\"schema\": Input should be 'relkit.suite/v1'", None),
    ],
)
def test_a_wrong_suite_is_refused_with_its_line(
    change: tuple[str, str], message: str, hint: str | None
) -> None:
    """Each error names the file, the line of the key, and the nearest known name."""
    text = SUITE.replace(*change)
    assert text != SUITE
    with pytest.raises(InvalidInput) as caught:
        parse_suite(text, source="small.yaml")
    line = next(
        i
        for i, (old, new) in enumerate(zip(SUITE.split("\n"), text.split("\n"), strict=True), 1)
        if old != new
    )
    assert caught.value.message.startswith(f"small.yaml, line {line}: ")
    assert message in caught.value.message
    assert (caught.value.hint or "").startswith(hint or "")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "words\n"])
def test_a_file_that_is_no_mapping_is_no_suite(text: str) -> None:
    """Empty files and lists are refused by name."""
    with pytest.raises(InvalidInput, match=r"^small\.yaml: a mapping of keys"):
        parse_suite(text, source="small.yaml")


def test_a_suite_without_a_schema_is_told_how_to_begin() -> None:
    """Suites were read without one before: one message says what to write, and where."""
    with pytest.raises(InvalidInput) as caught:
        parse_suite(SUITE.partition("\n")[2], source="small.yaml")
    assert caught.value.message == 'small.yaml, line 1: the key "schema" is missing'
    assert caught.value.hint == 'begin the file with "schema: relkit.suite/v1"'


def test_everything_a_suite_says_arrives() -> None:
    """Values, defaults, expanded timings, sorted crossings, and overall first."""
    found = suite()
    assert found.dataset.where == {"accent": ("plain", "broad")}
    assert found.metrics == (
        "wer",
        "latency_ms.mean",
        "latency_ms.p50",
        "latency_ms.p95",
        "latency_ms.p99",
    )
    assert found.slices == ("overall", "accent", "accent&noise")
    assert (found.system.kind, found.system.timeout_s, found.system.retries) == ("recorded", 60, 1)
    assert found.system == Recorded(path="answers.jsonl")
    assert (found.task, found.segmenter, found.max_audio_s) == ("asr", "auto", 600.0)


def test_one_wanted_value_needs_no_list() -> None:
    """``where`` takes a value or several."""
    text = SUITE.replace("[plain, broad]", "plain")
    assert suite(text).dataset.where == {"accent": ("plain",)}


@pytest.mark.parametrize(
    ("given_", "options"),
    [
        (["path=other.jsonl"], {"path": "other.jsonl"}),
        (["path=a=b"], {"path": "a=b"}),
        (["path=one", "path=two"], {"path": "two"}),
        (["path='12'"], {"path": "12"}),
    ],
)
def test_the_command_line_overrides_the_system(
    given_: list[str], options: dict[str, object]
) -> None:
    """The last word wins, and values are YAML."""
    assert suite(system=given_).system == system(Recorded, **options)


def test_numbers_on_the_command_line_are_numbers() -> None:
    """``retries=0`` is the number 0."""
    found = suite(system=["retries=0", "timeout_s=1e1"]).system
    assert (found.retries, found.timeout_s) == (0, 10.0)


@pytest.mark.parametrize("text", ["path", "=x", "", "--path"])
def test_an_override_that_is_no_key_and_value_is_a_usage_error(text: str) -> None:
    """The command line is wrong, not the file."""
    with pytest.raises(UsageError, match="KEY=VALUE was expected") as caught:
        suite(system=[text])
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("retries=99", 'small.yaml, --system retries: "system.retries": Input', None),
        ("retires=1", 'small.yaml, --system retires: unknown key "system.retires"', "did you"),
        ("kind=recoded", 'small.yaml, --system kind: unknown system kind "recoded"', "did you"),
        ("path=*x", "--system path, line 1: anchors and aliases", "write it out"),
        ("path={a: 1", "--system path, line 1: not YAML", None),
        ("path=a\udcff", "--system path, line 1: not YAML: it holds a forbidden", None),
        ("artifact=sha256:12", 'small.yaml, --system artifact: "system.artifact"', None),
    ],
)
def test_a_wrong_override_is_not_blamed_on_the_file(
    text: str, message: str, hint: str | None
) -> None:
    """The error names the option, because no line of the file holds the mistake."""
    with pytest.raises(InvalidInput) as caught:
        suite(system=[text])
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "").startswith(hint or "")


def test_a_wrong_line_keeps_its_number_beside_an_override() -> None:
    """Overriding one key does not hide where another one stands."""
    text = MINIMAL.replace("{kind: recorded, path: answers.jsonl}", "\n  kind: recorded\n  pth: x")
    with pytest.raises(InvalidInput, match=r"line 6: unknown key \"system\.pth\""):
        parse_suite(text, source="small.yaml", system=["path=x"])


@pytest.mark.parametrize(
    "system",
    [
        "{kind: recorded, path: other.jsonl}",
        "{kind: recorded, path: answers.jsonl, retries: 4}",
        "{kind: faster-whisper, model: tiny.en}",
        "{kind: command, run: ./answer}",
    ],
)
def test_the_suite_digest_ignores_the_system(system: str) -> None:
    """Baseline and candidate share a suite, whatever answers."""
    text = SUITE.replace("{kind: recorded, path: answers.jsonl}", system)
    assert suite_digest(suite(text)) == suite_digest(suite())
    assert encode(suite(text).system) != encode(suite().system)


@pytest.mark.parametrize(
    "change",
    [
        ("name: small", "name: large"),
        ("name: words", "name: other"),
        ("name: words,", "name: words, rev: HEAD,"),
        ("[plain, broad]", "[plain]"),
        ("normalizer: english", "normalizer: none"),
        ("[wer, latency_ms]", "[wer]"),
        ("[wer, latency_ms]", "[latency_ms, wer]"),
        ("slices: [accent,", "slices: [voice,"),
        ("normalizer:", "segmenter: words\nnormalizer:"),
        ("normalizer:", "cluster: voice\nnormalizer:"),
        ("normalizer:", "keywords: [hello]\nnormalizer:"),
        ("normalizer:", "max_audio_s: 30\nnormalizer:"),
    ],
)
def test_the_suite_digest_changes_with_anything_else(change: tuple[str, str]) -> None:
    """What shapes the numbers is in the digest."""
    assert suite_digest(suite(SUITE.replace(*change))) != suite_digest(suite())


def test_keys_at_their_defaults_do_not_matter() -> None:
    """Spelling a default out is the same suite: the digest is of what is effective."""
    assert suite_digest(suite(SPELT_OUT)) == suite_digest(suite(MINIMAL))
    assert suite(SPELT_OUT) == suite(MINIMAL)


def test_the_spelling_of_a_suite_does_not_matter() -> None:
    """Order of keys, flow or block style, and the order of columns in a crossing."""
    other = """\
system: {path: answers.jsonl, kind: recorded}
slices:
- accent
- accent & noise
metrics: [wer, latency_ms.mean, latency_ms.p50, latency_ms.p95, latency_ms.p99]
normalizer: "english"
dataset:
  where: {accent: [plain, broad]}
  name: words
name: small
schema: relkit.suite/v1
"""
    assert suite_digest(suite(other)) == suite_digest(suite())


def test_the_digest_of_a_suite_is_pinned() -> None:
    """A later relkit must give an old suite its old digest, or every baseline is lost."""
    document = (
        '{"dataset":{"name":"words","rev":null,"where":{}},"metrics":["wer","wer_capped","cer"],'
        '"name":"small","normalizer":"none","slices":["overall"],"task":"asr"}'
    )
    assert suite_digest(suite(MINIMAL)) == "sha256:" + hashlib.sha256(document.encode()).hexdigest()


TEXTS = {
    "faster-whisper": "{kind: faster-whisper, model: tiny.en, temperature: 0, language: en}",
    "openai-http": "{kind: openai-http, base_url: 'http://localhost:1', model: m, stream: true}",
    "command": "{kind: command, run: ./answer --fast, timeout_s: 2.5}",
    "recorded": "{kind: recorded, path: answers.jsonl, artifact: 'sha256:" + "a" * 64 + "'}",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("text", [SUITE, MINIMAL, SPELT_OUT])
def test_a_stored_suite_is_the_suite_of_the_file(kind: str, text: str) -> None:
    """The document in run.json gives back the same suite, and on its own the same digest."""
    found = parse_suite(_with_system(text, TEXTS[kind]), source="f")
    document = json.loads(json.dumps(encode(found)))
    assert parse(Suite, document, source="run.json") == found


def _with_system(text: str, system: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("system:")]
    return "\n".join([*lines, f"system: {system}", ""])


def test_another_normalizer_is_another_suite() -> None:
    """A rescored run cannot pass for the one it came from."""
    changed = replace(suite(), normalizer="none")
    assert changed == suite(SUITE.replace("english", "none"))
    assert suite_digest(changed) != suite_digest(suite())


NAME = st.text(st.characters(categories=["L", "N", "P", "Zs", "S"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    NAME,
    NAME,
    st.dictionaries(NAME, st.lists(NAME, max_size=2), max_size=2),
    st.lists(NAME, max_size=3),
)
def test_any_names_survive_the_way_through_a_stored_suite(
    name: str, dataset: str, where: dict[str, list[str]], keywords: list[str]
) -> None:
    """JSON is YAML: whatever a suite names, file and stored document agree."""
    document = {
        "schema": "relkit.suite/v1",
        "name": name,
        "dataset": {"name": dataset, "where": where},
        "keywords": keywords,
        "system": {"kind": "recorded", "path": "x"},
    }
    found = parse_suite(json.dumps(document, ensure_ascii=False), source="f")
    assert (found.name, found.dataset.name, found.keywords) == (name, dataset, tuple(keywords))
    stored = json.loads(json.dumps(encode(found)))
    assert parse(Suite, stored, source="run.json") == found


def test_another_kind_of_system_starts_from_nothing() -> None:
    """Switching the kind on the command line does not drag the old kind's keys along."""
    text = (
        "schema: relkit.suite/v1\nname: s\ndataset: {name: d}\n"
        "system: {kind: faster-whisper, model: tiny.en, beam_size: 5}\n"
    )
    found = parse_suite(text, source="s.yaml", system=["kind=command", "run=cat"]).system
    assert found == Command(run="cat")


SPOKEN = """\
schema: relkit.suite/v1
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
def test_a_stored_suite_that_speaks_is_the_suite_of_the_file(system: str, recogniser: str) -> None:
    """A server that listens and one that speaks are told apart on the way back, too."""
    text = SPOKEN.replace("{kind: espeak-ng}", system)
    found = suite(text.replace("{kind: faster-whisper, model: tiny.en}", recogniser))
    document = json.loads(json.dumps(encode(found)))
    assert parse(Suite, document, source="run.json") == found


def test_engines_share_a_suite_and_recognisers_do_not() -> None:
    """Two engines can be compared; heard by another recogniser it is another measurement."""
    digests = {
        suite_digest(suite(SPOKEN.replace("{kind: espeak-ng}", system))) for system in SYSTEMS
    }
    assert digests == {suite_digest(suite(SPOKEN))}
    assert suite_digest(suite(SPOKEN.replace("tiny.en", "base.en"))) not in digests


def test_the_engine_can_be_changed_on_the_command_line() -> None:
    """Another kind starts from nothing, and a server needs a voice."""
    found = parse_suite(SPOKEN, source="s.yaml", system=["kind=flite", "voice=slt"])
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
    assert parse_journal_line(render_journal_line(item), line=1) == item


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


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"beam_size": 5}, [("beam_size", 5, 1)]),
        (
            {"model": "/models/small.en", "compute_type": "float32"},
            [("model", "small.en", "tiny.en"), ("compute_type", "float32", "int8")],
        ),
        ({"model": "models/alice/small.en"}, [("model", "small.en", "tiny.en")]),
        ({"model": "C:\\alice\\small.en"}, [("model", "small.en", "tiny.en")]),
        ({"model": "https://u:pw@host/a/m?key=7"}, [("model", "m", "tiny.en")]),
        ({"model": "org/small.en"}, [("model", "org/small.en", "tiny.en")]),
        ({"model": "/alice/tiny.en"}, [("model", None, None)]),
        ({"language": "en"}, [("language", "en", None)]),
        ({"initial_prompt": "Alice and Bob"}, [("initial_prompt", None, None)]),
        ({}, []),
    ],
)
def test_the_settings_that_differ_are_named_with_their_values(
    options: dict[str, object], changes: list[tuple[str, object, object]]
) -> None:
    """Addresses, programs and prompts are only said to differ; of a path the last part is shown."""
    before = replace(suite(), system=system(FasterWhisper, model="tiny.en"))
    after = replace(suite(), system=system(FasterWhisper, **({"model": "tiny.en"} | options)))
    changed = changed_settings(header(suite=after), header(suite=before))
    assert [(item.setting, item.candidate, item.baseline) for item in changed] == changes


def test_other_columns_of_recorded_answers_are_a_change() -> None:
    """Two columns of one table are two systems."""
    before, after = (
        replace(suite(), system=system(Recorded, path="a.csv", mapping={"text": column}))
        for column in ("first", "second")
    )
    (changed,) = changed_settings(header(suite=after), header(suite=before))
    assert (changed.setting, changed.candidate, changed.baseline) == ("mapping", None, None)


def test_another_kind_of_system_and_artifact_are_changes_too() -> None:
    """What one side lacks is null there."""
    after = header(candidate=SystemId(digest="sha256:" + "1" * 64, artifact="sha256:" + "2" * 64))
    before = header(suite=replace(suite(), system=system(FasterWhisper, model="tiny.en")))
    changed = {item.setting: item for item in changed_settings(after, before)}
    assert changed["kind"].candidate == "recorded"
    assert changed["model"].candidate is None
    assert changed["path"].candidate is changed["path"].baseline is None
    assert changed["artifact"].baseline is None
    assert system_name(before.suite.system) == "faster-whisper tiny.en int8"


AGENT = """\
schema: relkit.suite/v1
name: voice-agent
task: agent
tools: tools.yaml
dataset: {name: words}
system: {kind: recorded, path: calls.jsonl}
"""


def test_an_agents_suite_measures_what_its_calls_tell() -> None:
    """Without metrics of its own it has those of safety, and never a word error rate."""
    read = parse_suite(AGENT, source="voice-agent.yaml")
    assert read.tools == "tools.yaml"
    assert read.metrics[:2] == ("tool_schema_violation_rate", "unbounded_call_rate")
    assert "wer" not in read.metrics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("tools: tools.yaml\n", ""), 'line 3: the task agent needs "tools"'),
        (("tools.yaml", "../tools.yaml"), '"tools"'),
        (("task: agent", "task: asr"), 'line 4: the task agent needs "tools", and no other'),
        (
            ("task: agent\ntools: tools.yaml", "metrics: [wer, unconfirmed_rate]"),
            'line 3: the metric "unconfirmed_rate" is about an agent',
        ),
        (("kind: recorded, path: calls.jsonl", "kind: flite"), 'the system kind "flite" is no'),
    ],
)
def test_suites_of_agents_that_are_refused(change: tuple[str, str], message: str) -> None:
    """An agent without tools, tools without an agent, and its metrics in another suite."""
    with pytest.raises(InvalidInput) as caught:
        parse_suite(AGENT.replace(*change), source="voice-agent.yaml")
    assert message in caught.value.message


def test_another_table_of_tools_is_another_suite() -> None:
    """The digest of a suite holds the content of its tools, whatever their file is called."""
    read = parse_suite(AGENT, source="voice-agent.yaml")
    renamed = replace(read, tools="other.yaml")
    assert suite_digest(read, "sha256:a") == suite_digest(renamed, "sha256:a")
    assert suite_digest(read, "sha256:a") != suite_digest(read, "sha256:b")
