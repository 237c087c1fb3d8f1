"""JSON that means one thing only, and errors that say where and what to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import MAX_DEPTH, decode, nearest, parse, parse_json, parse_yaml
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=8,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A nested type."""

    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A type with everything that an error can be about."""

    name: str
    size: int = 1
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    places: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xef\xbb\xbf{}", "m.jsonl, line 1: starts with a byte order mark"),
        (b"{}\n{}\n\xff{}", "m.jsonl, line 3: not UTF-8 text"),
        ("{}".encode("utf-16"), "m.jsonl, line 1: not UTF-8 text"),
        (b"\xed\xa0\x80", "m.jsonl, line 1: not UTF-8 text"),
        (b"a\nb\0", "m.jsonl, line 2: holds a NUL character"),
    ],
)
def test_bytes_that_are_no_plain_text_are_refused_with_their_line(
    data: bytes, message: str
) -> None:
    """Encodings, byte order marks and NULs never reach a parser."""
    with pytest.raises(InvalidInput) as caught:
        decode(data, source="m.jsonl")
    assert caught.value.message == message
    assert caught.value.hint


def test_plain_text_is_decoded_as_it_is() -> None:
    """Nothing is normalised on the way in."""
    assert decode("ä\r\n\u2028x".encode(), source="f") == "ä\r\n\u2028x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', 'f, line 7: the key "a" stands twice'),
        ('{"x": {"a\\n": 1, "a\\n": 2}}', 'f, line 7: the key "a\\x0a" stands twice'),
        ("NaN", "f, line 7: NaN is no JSON number"),
        ("[Infinity]", "f, line 7: Infinity is no JSON number"),
        ('{"a": -Infinity}', "f, line 7: -Infinity is no JSON number"),
        ("1e999", "f, line 7: the number 1e999 is out of range"),
        ("-1e999", "f, line 7: the number -1e999 is out of range"),
        ("9" * 500 + ".5", "f, line 7: the number " + "9" * 79 + "… is out of range"),
        ("9" * 5000, "f, line 7: a number has too many digits"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "f, line 7: nested too deeply"),
        ('{"a":' * 300 + "1" + "}" * 300, "f, line 7: nested too deeply"),
        ("[" * 100_000, "f, line 7: nested too deeply"),
        ('"\\ud800"', "f, line 7: holds half of a surrogate pair, which is no text"),
        ('{"\\uDFFF": 1}', "f, line 7: holds half of a surrogate pair, which is no text"),
        ("", "f, line 7: not JSON: Expecting value"),
        ("{'a': 1}", "f, line 7: not JSON: Expecting property name enclosed in double quotes"),
        ('"a\tb"', "f, line 7: not JSON: Invalid control character at"),
        ("1 2", "f, line 7: not JSON: Extra data"),
    ],
)
def test_json_that_could_mean_something_else_is_refused(text: str, message: str) -> None:
    """One clear error, never a traceback and never a guess."""
    with pytest.raises(InvalidInput) as caught:
        parse_json(text, source="f", line=7)
    assert caught.value.message == message


def test_the_line_of_a_whole_document_is_that_of_the_error() -> None:
    """Without a line of its own, a document counts its lines."""
    with pytest.raises(InvalidInput, match=r"^r.json, line 3: not JSON"):
        parse_json('{\n"a": 1,\n"b" 2}', source="r.json")


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    """The limit is a limit, not one less; brackets inside strings do not count."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(text, source="f")) == text
    assert parse_json(json.dumps("[{" * 1000), source="f") == "[{" * 1000


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """JSON may spell an emoji as two escapes."""
    assert parse_json('"\\ud83d\\ude00"', source="f") == "\N{GRINNING FACE}"


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_plain_document_is_read_as_it_was_written(document: object) -> None:
    """What json writes, the strict reader reads."""
    assert parse_json(json.dumps(document), source="f") == document


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, min_size=2))
def test_a_digest_does_not_depend_on_the_order_of_keys(document: dict[str, None]) -> None:
    """Documents are digested in canonical form."""
    turned = dict(reversed(document.items()))
    assert list(turned) != list(document)
    assert digest_of(turned) == digest_of(document)


def test_a_digest_is_the_known_one_of_canonical_json() -> None:
    """The SHA-256 of RFC 8785 text that was written by hand."""
    assert digest_of({"b": [1.0, "ä"], "a": None}) == (
        # printf '{"a":null,"b":[1,"ä"]}' | sha256sum
        "sha256:5d4c789751acdad9ba305072d1a6ccdc5864fd7c7a1bcc0f38a794e5a4417e02"
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: x\nsiez: 2\n", 'f.yaml, line 2: unknown key "siez"', 'did you mean "size"?'),
        (
            "name: x\nzzz: 2\n",
            'f.yaml, line 2: unknown key "zzz"',
            "known: inner, name, parts, places, size",
        ),
        ("size: 2\n", 'f.yaml, line 1: the key "name" is missing', None),
        (
            "name: x\nsize: two\n",
            'f.yaml, line 2: "size": Input should be a valid integer',
            None,
        ),
        (
            "name: 3\n",
            'f.yaml, line 1: "name": Input should be a valid string',
            'YAML takes 3 for no text: write "3"',
        ),
        ("name: x\nsize: true\n", 'f.yaml, line 2: "size": Input should be a valid integer', None),
        (
            "name: x\ninner:\n  edgse: [1]\n",
            'f.yaml, line 3: unknown key "inner.edgse"',
            'did you mean "edges"?',
        ),
        ("name: x\ninner: {}\n", 'f.yaml, line 2: the key "inner.edges" is missing', None),
        (
            "name: x\ninner: [1]\n",
            'f.yaml, line 2: "inner": a mapping of keys to values was expected',
            None,
        ),
        (
            "name: x\nparts:\n- edges: [1]\n- edges: [1]\n  more: 1\n",
            'f.yaml, line 5: unknown key "parts.1.more"',
            "known: edges",
        ),
        (
            "name: x\nplaces:\n  a: b\n  c: {d: e}\n",
            'f.yaml, line 4: "places.c": Input should be a valid string',
            None,
        ),
        (
            "- a\n",
            "f.yaml, line 1: a mapping of keys to values was expected",
            "it needs the keys name",
        ),
        ("", "f.yaml: is empty", "it needs the keys name"),
        ("# nothing\n", "f.yaml: is empty", "it needs the keys name"),
        (
            '"na\\u202Eme": x\n',
            'f.yaml, line 1: unknown key "na\\x202eme"',
            'did you mean "name"?',
        ),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused_with_line_and_nearest_key(
    text: str, message: str, hint: str | None
) -> None:
    """The error names file, line and key, and the hint the way out."""
    with pytest.raises(InvalidInput) as caught:
        parse_yaml(text, Outer, source="f.yaml")
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_key_cannot_write_to_the_terminal() -> None:
    """Control characters of a file are shown as escapes."""
    with pytest.raises(InvalidInput) as caught:
        parse(Outer, {"name": "x", "\x1b[31m": 1}, source="f")
    assert "\\x1b[31m" in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_record_takes_no_nan_from_code_either() -> None:
    """A number that is none is refused wherever it comes from."""
    with pytest.raises(InvalidInput, match=r"inner\.edges\.0"):
        parse(Outer, {"name": "x", "inner": {"edges": [float("nan")]}}, source="f")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("werr", ("wer", "cer"), 'did you mean "wer"?'),
        ("zzz", ("wer", "cer"), "known: cer, wer"),
        ("x", (), None),
    ],
)
def test_the_hint_is_the_nearest_name_or_all_of_them(
    name: str, known: tuple[str, ...], hint: str | None
) -> None:
    """A guess where there is a near one, the list where there is none."""
    assert nearest(name, known) == hint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """A file of texts."""

    name: str
    values: tuple[str, ...] = ()


@pytest.mark.parametrize("scalar", ["1.10", "012", "0x1F", "1e3", "true", "False", "-5"])
def test_a_scalar_that_yaml_takes_for_no_text_is_answered_in_quotes(scalar: str) -> None:
    """As it is written, which is not as it was read: 1.10 is 1.1, and 012 is 12."""
    for text in (f"name: {scalar}\n", f"name: a\nvalues: [b, {scalar}]\n"):
        with pytest.raises(InvalidInput, match="should be a valid string") as caught:
            parse_yaml(text, _Texts, source="f.yaml")
        assert caught.value.hint == f'YAML takes {scalar} for no text: write "{scalar}"'
    assert parse_yaml(f"name: '{scalar}'\n", _Texts, source="f.yaml").name == scalar


def test_words_of_yaml_1_1_are_text() -> None:
    """YAML 1.2 has two truth values, and Norwegian is no."""
    text = "name: no\nvalues: [yes, on, off, n]\n"
    texts = parse_yaml(text, _Texts, source="f.yaml")
    assert (texts.name, texts.values) == ("no", ("yes", "on", "off", "n"))
