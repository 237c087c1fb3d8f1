"""Settings, manifests, locks and DVC files: what they become, and what is refused with its line."""

import json
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import schema
from relkit.core.errors import InvalidInput
from relkit.datasets.files import (
    ManifestRow,
    Pointer,
    parse_dataset,
    parse_listing,
    parse_lock,
    parse_manifest,
    parse_pointer,
    render_lock,
)
from relkit.datasets.selection import RESERVED, default_id
from relkit.datasets.types import AudioSpan, Consent, DatasetLock, Entity, LockedAudio, Utterance
from relkit.statistics.sums import CORE_COLUMNS
from tests.builders import NAMES, TEXT

ROW = {"audio_filepath": "audio/a.wav", "text": "hello"}


def read(*lines: str | dict[str, Any]) -> tuple[Utterance, ...]:
    """Parse a manifest of these lines."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return parse_manifest(text + "\n", source="words/manifest.jsonl")


def test_a_whole_number_is_an_id() -> None:
    """It is the text that it is written as, and stands twice beside that."""
    assert [item.id for item in read(ROW | {"id": 3}, ROW | {"id": -12})] == ["3", "-12"]
    with pytest.raises(InvalidInput, match='line 2: the id "3" stands already in line 1'):
        read(ROW | {"id": 3}, ROW | {"id": "3"})


def test_every_key_of_a_line_arrives() -> None:
    """NeMo's names, ours, and any further column."""
    assert read(
        ROW
        | {
            "id": "u1",
            "offset": 1.5,
            "duration": 2,
            "speaker": "s1",
            "snr": 10,
            "gain": -0.5,
            "far": True,
            "lang": None,
            "consent": "granted",
            "entities": [{"text": "hello", "type": "greeting"}],
        }
    ) == (
        Utterance(
            id="u1",
            audio=AudioSpan(path="audio/a.wav", offset_s=1.5, length_s=2.0),
            reference="hello",
            attributes={"speaker": "s1", "snr": "10", "gain": "-0.5", "far": "true"},
            entities=(Entity(text="hello", type="greeting"),),
            consent=Consent.GRANTED,
            line=1,
        ),
    )


def test_blank_lines_are_passed_over_but_counted() -> None:
    """Lines keep the number that an editor shows."""
    found = read("", ROW, "   ", "\t", ROW | {"id": "b"}, "")
    assert [(item.id, item.line) for item in found] == [("audio/a", 2), ("b", 5)]


def test_line_ends_of_windows_are_no_part_of_a_line() -> None:
    """A carriage return is white space to JSON."""
    text = json.dumps(ROW) + "\r\n" + json.dumps(ROW | {"id": "b"}) + "\r\n"
    assert [item.line for item in parse_manifest(text, source="f")] == [1, 2]


def test_only_a_line_feed_ends_a_line() -> None:
    """U+2028 and U+0085 may stand in a text as they are."""
    line = json.dumps(ROW | {"text": "a\u2028b\x85c"}, ensure_ascii=False)
    assert read(line)[0].reference == "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("path", "offset", "expected"),
    [
        ("audio/a.wav", None, "audio/a"),
        ("./audio//a.b.flac", None, "audio/a.b"),
        ("a", None, "a"),
        (".hidden", None, ".hidden"),
        ("../b/a.wav", None, "../b/a"),
        ("a.wav", 0.0, "a#0"),
        ("a.wav", 0, "a#0"),
        ("a.wav", 12.0, "a#12"),
        ("a.wav", 1.5, "a#1.5"),
        ("a.wav", 12345.67, "a#12345.67"),
        ("a.wav", 12345.675, "a#12345.675"),
        (".", None, "."),
        ("/", None, "/"),
        ("..", None, ".."),
    ],
)
def test_the_default_id_is_the_path_without_its_ending(
    path: str, offset: float | None, expected: str
) -> None:
    """With ``#offset`` where there is one, in full."""
    assert default_id(path, offset) == expected


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_segments_of_one_recording_never_share_a_default_id(first: float, second: float) -> None:
    """Two offsets are the same id only if they are the same number."""
    assert (default_id("a.wav", first) == default_id("a.wav", second)) == (first == second)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes"),
        ("[]", "a mapping of keys to values was expected"),
        ('"a"', "a mapping of keys to values was expected"),
        ('{"text": "a", "text": "b"}', 'the key "text" stands twice'),
        ('{"text": "a"}', 'the key "audio_filepath" is missing'),
        ('{"audio_filepath": "a"}', 'the key "text" is missing'),
        (ROW | {"audio_filepath": ""}, '"audio_filepath": String should have at least 1 char'),
        (ROW | {"audio_filepath": None}, 'the key "audio_filepath" is missing'),
        (ROW | {"text": 3}, '"text": Input should be a valid string'),
        (ROW | {"text": None}, 'the key "text" is missing'),
        (ROW | {"id": 3.0}, '"id": Input should be a valid string'),
        (ROW | {"id": False}, '"id": Input should be a valid string'),
        (ROW | {"id": ""}, '"id": String should have at least 1 character'),
        (ROW | {"offset": -1}, '"offset": Input should be greater than or equal to 0'),
        (ROW | {"offset": "1"}, '"offset": Input should be a valid number'),
        (ROW | {"offset": True}, '"offset": Input should be a valid number'),
        (ROW | {"offset": 10**400}, '"offset": Input should be a valid number'),
        (ROW | {"duration": -0.1}, '"duration": Input should be greater than or equal to 0'),
        ('{"duration": NaN}', "NaN is no JSON number"),
        ('{"duration": 1e999}', "the number 1e999 is out of range"),
        ('{"snr": -Infinity}', "-Infinity is no JSON number"),
        ('{"snr": ' + "1" * 5000 + "}", "a number has too many digits"),
        (ROW | {"consent": "maybe"}, "\"consent\": Input should be 'granted', 'revoked' or"),
        (ROW | {"entities": "hello"}, '"entities": Input should be a valid list'),
        (ROW | {"entities": ["hello"]}, '"entities.0": a mapping of keys to values was expected'),
        (ROW | {"entities": [{"text": "a"}]}, 'the key "entities.0.type" is missing'),
        (ROW | {"entities": [{"text": "", "type": "x"}]}, '"entities.0.text": String should have'),
        (
            ROW | {"entities": [{"text": "a", "type": "x", "tpye": "y"}]},
            'unknown key "entities.0.tpye"',
        ),
        (ROW | {"tags": ["a"]}, 'the column "tags" is a list or an object'),
        (ROW | {"meta": {"a": 1}}, 'the column "meta" is a list or an object'),
        (ROW | {"deep": json.loads("[" * 150 + "]" * 150)}, "nested too deeply"),
        ('{"audio_filepath": "a", "text": "\\ud800"}', "holds half of a surrogate pair"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(line: str | dict[str, Any], message: str) -> None:
    """File, line and key, whatever is wrong; never what was said."""
    with pytest.raises(InvalidInput) as caught:
        read(ROW, "", line)
    assert caught.value.message.startswith(f"words/manifest.jsonl, line 3: {message}")
    assert "hello" not in caught.value.message


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (ROW | {"id": "u"}, ROW | {"id": "u"}, "u"),
        (ROW, ROW, "audio/a"),
        (ROW, ROW | {"audio_filepath": "audio/a.flac"}, "audio/a"),
        (ROW, ROW | {"audio_filepath": "b.wav", "id": "audio/a"}, "audio/a"),
        (ROW | {"offset": 1}, ROW | {"offset": 1.0}, "audio/a#1"),
        (ROW | {"id": "\x1b"}, ROW | {"id": "\x1b"}, "\\x1b"),
    ],
)
def test_an_id_that_stands_twice_is_refused_with_both_lines(
    first: dict[str, Any], second: dict[str, Any], shown: str
) -> None:
    """Given and default ids are one set."""
    with pytest.raises(InvalidInput) as caught:
        read("", first, ROW | {"id": "between"}, second)
    assert caught.value.message == (
        f'words/manifest.jsonl, line 4: the id "{shown}" stands already in line 2'
    )
    assert caught.value.hint == "give every utterance an id of its own"


@pytest.mark.parametrize("name", sorted(RESERVED - {"id", "duration", "entities"}))
def test_a_column_cannot_have_the_name_of_a_result_column(name: str) -> None:
    """What results are made of cannot be shadowed by a slice attribute."""
    with pytest.raises(InvalidInput, match=f'line 1: the column "{name}" has a name') as caught:
        read(ROW | {name: "x"})
    assert caught.value.hint == "rename the column"


def test_every_result_column_is_reserved() -> None:
    """The list cannot fall behind the columns."""
    assert set(CORE_COLUMNS) | {"overall"} == RESERVED


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        NAMES.filter(
            lambda name: (
                name not in RESERVED | {key.name for key in fields(ManifestRow)}
                and not set("&=*%") & set(name)
            )
        ),
        TEXT,
    ),
    TEXT,
)
def test_any_column_and_any_text_arrive_unchanged(columns: dict[str, str], text: str) -> None:
    """Attributes and references are kept as they came."""
    (item,) = read(ROW | columns | {"text": text})
    assert (item.attributes, item.reference) == (columns, text)


SETTINGS = """\
schema: relkit.dataset/v1
name: words
cluster: speaker
slices: [accent]
bins:
- name: length
  column: duration
  edges: [1, 2, 4]
"""


SAID = {"turn": "u1", "audio_filepath": "a.wav", "text": "hello"}


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        (
            {"script": [SAID | {"when": {"after": "user_speech_stop", "turn": "u2"}}]},
            '"u1" waits for "u2", which does not come before it',
            "name an earlier entry of the script",
        ),
        (
            {"script": [SAID, SAID]},
            'two entries of the script are called "u1"',
            None,
        ),
        ({"id": None}, 'the key "id" is missing', "name the conversation"),
        (
            {"acoustics": {"snr_db": 10}},
            '"acoustics": "noise" and "snr_db" need each other',
            "name a noise clip and how far it lies below the speech",
        ),
        (
            {"acoustics": {"noise": "hum.wav"}},
            '"acoustics": "noise" and "snr_db" need each other',
            "name a noise clip and how far it lies below the speech",
        ),
        ({"script": [SAID | {"when": {"ms": -1}}]}, '"script.0.when.ms"', None),
        ({"script": [SAID | {"label": "shout"}]}, '"script.0.label"', None),
        ({"script": []}, 'the key "audio_filepath" is missing', None),
    ],
)
def test_a_script_that_cannot_be_held_is_refused_by_its_line(
    changes: dict[str, Any], message: str, hint: str | None
) -> None:
    """Before anything is spoken, with what to do where that is not the message itself."""
    document = {"id": "t1", "script": [SAID]} | changes
    line = json.dumps({key: value for key, value in document.items() if value is not None})
    with pytest.raises(InvalidInput, match=r"^words/manifest\.jsonl, line 1: ") as caught:
        parse_manifest(line, source="words/manifest.jsonl")
    assert message in str(caught.value)
    if hint is not None:
        assert caught.value.hint == hint


def test_every_setting_arrives() -> None:
    """Values and defaults of dataset.yaml."""
    record = parse_dataset(SETTINGS, source="words/dataset.yaml")
    assert (record.name, record.cluster, record.slices) == ("words", "speaker", ("accent",))
    assert (record.manifest, record.consent, record.audio_roots) == (
        "manifest.jsonl",
        "optional",
        (),
    )
    assert [(b.name, b.column, b.edges) for b in record.bins] == [("length", "duration", (1, 2, 4))]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cluster:", "clutser:", 'line 3: unknown key "clutser"'),
        ("[1, 2, 4]", "[1, 4, 2]", 'line 8: "bins.0.edges": the edges must increase'),
        ("[1, 2, 4]", "[1, 1]", 'line 8: "bins.0.edges": the edges must increase'),
        ("[1, 2, 4]", "[]", 'line 8: "bins.0.edges": List should have at least 1 item'),
        ("[1, 2, 4]", "[1, .inf]", "line 8: NaN and infinities are not allowed"),
        ("[1, 2, 4]", "[1, x]", 'line 8: "bins.0.edges.1": Input should be a valid number'),
        ("name: length", "name: hits", 'line 6: "bins.0.name": the name "hits" is taken'),
        ("  column", "  colum", 'line 7: unknown key "bins.0.colum"'),
        ("name: words", "nmae: words", 'line 2: unknown key "nmae"'),
        ("dataset/v1", "dataset/v9", 'line 1: "schema": Input should be'),
        ("slices:", "consent: perhaps\nslices:", "line 4: \"consent\": Input should be 'optional'"),
    ],
)
def test_wrong_settings_are_refused_with_their_line(old: str, new: str, message: str) -> None:
    """dataset.yaml is read as strictly as any file."""
    text = SETTINGS.replace(old, new)
    assert text != SETTINGS
    with pytest.raises(InvalidInput) as caught:
        parse_dataset(text, source="words/dataset.yaml")
    assert caught.value.message.startswith(f"words/dataset.yaml, {message}")


@pytest.mark.parametrize("name", ["a&b", "a=b", "a*", "50%", ""])
def test_a_column_that_no_slice_could_name_is_refused(name: str) -> None:
    """A column's name is part of slice keys, where these characters have a meaning."""
    line = json.dumps({"audio_filepath": "a.flac", "text": "", name: "x"})
    with pytest.raises(InvalidInput, match=r"m\.jsonl, line 1"):
        parse_manifest(line, source="m.jsonl")


HEX = "a1" * 32
MD5 = "b2" * 16
LOCK = DatasetLock(
    name="words",
    digest=f"sha256:{HEX}",
    utterances=2,
    slices={"accent": ("broad", "plain", "(none)")},
    audio=LockedAudio(
        dvc={"audio": f"{MD5}.dir"}, sha256={"audio/a.wav": HEX, "audio/é b.wav": HEX}
    ),
)
PLAIN = st.text("abcé .", min_size=1, max_size=8).filter(lambda name: name.strip("."))


def test_a_lock_is_read_as_it_was_written() -> None:
    """Both ways, and the text does not depend on the order things were found in."""
    text = render_lock(LOCK)
    assert parse_lock(text, source="lock.json") == LOCK
    turned = DatasetLock(
        name=LOCK.name,
        digest=LOCK.digest,
        utterances=2,
        slices=dict(reversed(list(LOCK.slices.items()))),
        audio=LockedAudio(
            dvc=LOCK.audio.dvc, sha256=dict(reversed(list(LOCK.audio.sha256.items())))
        ),
    )
    assert render_lock(turned) == text
    assert text.endswith("}\n")


@given(
    st.dictionaries(
        st.from_regex(r"audio/[a-z]{1,8}\.wav", fullmatch=True),
        st.tuples(st.floats(0, 1e5), st.floats(1e5, 1e6, exclude_min=True)),
    )
)
def test_bounds_of_speech_come_back_and_none_leave_no_trace(
    speech: dict[str, tuple[float, float]],
) -> None:
    """A lock with them is read as written; one without is what it was before there were any."""
    written = replace(LOCK, audio=replace(LOCK.audio, speech=speech))
    text = render_lock(written)
    assert parse_lock(text, source="lock.json") == written
    assert ("speech" in text) == bool(speech)


def test_a_lock_fits_its_schema() -> None:
    """Other programs read it by the published schema."""
    jsonschema.validate(json.loads(render_lock(LOCK)), schema(DatasetLock))


def _with(**changes: Any) -> str:  # noqa: ANN401  # any JSON value
    document = json.loads(render_lock(LOCK))
    document.update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "a mapping of keys"),
        (_with(schema="relkit.dataset-lock/v2"), '"schema"'),
        (_with(digest=HEX), '"digest"'),
        (
            _with(audio={"dvc": {}, "sha256": {}, "speech": {"a.wav": [300, 300]}}),
            "speech must end after it begins",
        ),
        (_with(audio={"dvc": {}, "sha256": {}, "speech": {"../a.wav": [0, 3]}}), "leaves"),
        (_with(digest=f"sha256:{HEX}\n"), '"digest"'),
        (_with(utterances=0), '"utterances"'),
        (_with(slices={"accent": "plain"}), '"slices.accent"'),
        (_with(more=1), 'unknown key "more"'),
        (_with(audio={"dvc": {"audio": "x"}, "sha256": {}}), '"audio.dvc.audio"'),
        (_with(audio={"dvc": {"audio": f"{MD5}.dir/../.."}, "sha256": {}}), '"audio.dvc.audio"'),
        (_with(audio={"dvc": {}, "sha256": {"a.wav": "x"}}), '"audio.sha256.a.wav"'),
        (_with(audio={"dvc": {"../out": MD5}, "sha256": {}}), "leaves its folder"),
        (_with(audio={"dvc": {"/out": MD5}, "sha256": {}}), "leaves its folder"),
        (_with(audio={"dvc": {}, "sha256": {"a/../../b": HEX}}), "leaves its folder"),
    ],
)
def test_a_wrong_lock_is_refused(text: str, message: str) -> None:
    """A lock decides what is evaluated; one that was edited by hand is not believed."""
    with pytest.raises(InvalidInput, match=r"lock\.json") as caught:
        parse_lock(text, source="lock.json")
    assert message in caught.value.message


POINTER = f"outs:\n- md5: {MD5}.dir\n  size: 3\n  nfiles: 2\n  hash: md5\n  path: audio\n"


def test_a_pointer_gives_its_hash() -> None:
    """DVC's own file, with keys that are none of our business."""
    for text in (POINTER, "desc: mine\n" + POINTER):
        assert parse_pointer(text, source="audio.dvc") == Pointer(md5=f"{MD5}.dir")
    placed = parse_pointer(POINTER + "  remote: far\n", source="audio.dvc")
    assert placed == Pointer(md5=f"{MD5}.dir", remote="far")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no DVC file of one path"),
        ("outs: []\n", "is no DVC file of one path"),
        ("outs: 3\n", "is no DVC file of one path"),
        (POINTER + POINTER.removeprefix("outs:\n"), "is no DVC file of one path"),
        (POINTER.replace("  hash: md5\n", ""), "was written by DVC 2"),
        (POINTER.replace(MD5, "../../x"), '"md5"'),
        (POINTER + "  remote: 5\n", '"remote"'),
    ],
)
def test_a_wrong_pointer_is_refused(text: str, message: str) -> None:
    """Each with the file's name and what to do."""
    with pytest.raises(InvalidInput, match=r"audio\.dvc") as caught:
        parse_pointer(text, source="audio.dvc")
    assert message in caught.value.message


def test_a_listing_gives_files_and_refuses_paths_that_leave() -> None:
    """It comes from a remote, so it may say anything."""
    good = json.dumps([{"md5": MD5, "relpath": "x/a.wav"}])
    assert parse_listing(good, source="audio") == {"x/a.wav": MD5}
    for path in ("../a.wav", "/etc/passwd", "x//a.wav", "x/../a.wav", "./a", ""):
        bad = json.dumps([{"md5": MD5, "relpath": path}])
        with pytest.raises(InvalidInput):
            parse_listing(bad, source="audio")
    with pytest.raises(InvalidInput):
        parse_listing('{"a": 1}', source="audio")
