"""Suites: what is refused and how it is said, and what their digests depend on."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import encode, parse
from relkit.core.errors import InvalidInput, UsageError
from relkit.evaluation.suites import (
    parse_suite,
    suite_digest,
)
from relkit.evaluation.types import Command, Recorded, Suite
from tests.builders import MINIMAL_SUITE as MINIMAL
from tests.builders import SUITE, suite, system

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
    with pytest.raises(InvalidInput, match=r"line 5: unknown key \"system\.pth\""):
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
        "name: s\ndataset: {name: d}\n"
        "system: {kind: faster-whisper, model: tiny.en, beam_size: 5}\n"
    )
    found = parse_suite(text, source="s.yaml", system=["kind=command", "run=cat"]).system
    assert found == Command(run="cat")
