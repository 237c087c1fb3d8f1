"""Transcript files: JSON lines, manifests, plain text; every defect with file and line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import parse_json
from relkit.core.errors import InvalidInput
from relkit.core.json_lines import JsonRow, column_blocks, row_blocks
from relkit.scoring.files import Side, parse_jsonl, parse_kaldi_text, parse_txt, read_pair
from relkit.scoring.formats import Format
from relkit.scoring.types import TrnOptions

GOOD = '{"id": "u0", "text": "zebra"}\n'
PIECES = st.sampled_from(
    [
        '{"id": "a", "text": "x"}',
        '{"id": "a", "text": "x", "id": "b"}',
        '{"id" : "a", "text": "x"}',
        '{"text": "say \\"id\\":", "id": "c"}',
        '{"id": "a", "n": 1.5, "e": [{"k": "v"}, {"k": "w"}], "u": {"in": {"x": "y"}}}',
        '{"id": "a", "e": [{"k": "v", "k": "w"}]}',
        '{"id": "a", "u": {"x": "y", "x": "y"}}',
        '{"id": "a"}, {"id": "b"}',
        '{"id": "a"},',
        '{"id": "a"}, 5',
        '{"id": "a", "n": 5}',
        '{"id": "a", "n": 5, "n": 6}',
        '{"id": "a{"}',
        '{"id": "a"} {"id": "b"}',
        '{"id": "a",',
        '"text": "b"}',
        '{"a": [{"b": "1"}',
        '{"c": "2"}]}',
        "[]",
        '["x"]',
        '"text"',
        "{}",
        "{",
        "}",
        "",
        "  ",
        ' {"id": "a"} ',
        '{"id": NaN}',
        '{"id": -Infinity}',
        '{"id": 1e999}',
        '{"id": "a\tb"}',
        '{"id": "\\\\"}',
        '{"id": "\\u0022"}',
        "null",
    ]
)


def line_by_line(text: str) -> list[JsonRow] | None:
    """Return what the strict reader makes of each line alone, None where it refuses one."""
    rows: list[JsonRow] = []
    for line in text.split("\n"):
        if line.strip():
            try:
                row = parse_json(line, source="x")
            except InvalidInput:
                return None
            if not isinstance(row, dict):
                return None
            rows.append(row)
    return rows


def in_blocks(text: str) -> list[JsonRow] | None:
    """Return what the fast readers make of the text, None where they refuse."""
    try:
        rows = [row for rows, _ in row_blocks(text, source="x") for row in rows]
    except InvalidInput:
        return None
    assert rows == in_columns(text)
    return rows


def in_columns(text: str) -> list[JsonRow]:
    """Return the rows of the reader that makes columns of lines that are alike."""
    found: list[JsonRow] = []
    for columns, rows, numbers in column_blocks(text, source="x"):
        found += rows if columns is None else ({} for _ in numbers)
        for name, strings in (columns or {}).items():
            for row, string in zip(found[-len(numbers) :], strings, strict=True):
                row[name] = string
    return found


ALIKE = st.sampled_from(
    [
        *('{"id": "a", "text": "x"}', '{"id":"b","text":""}', '{"id": "c", "text": "\u00e9 {,}:"}'),
        *(
            '{"id": "a", "text": "x\ty"}',
            '{"id": "a", "text": "\\u0041"}',
            '{"id": "a", "text": 1}',
        ),
        *(
            '{"id": "a", "text": "x", "id": "b"}',
            '{"id": "a", "id": "x"}',
            '{"text": "x", "id": "a"}',
        ),
        *('{"id" : "a", "text": "x"}', '{"id": "a" "text": "x"}', '{"id": "a", "text": "x",}'),
        *(
            '{"id": "a", "text": "x"}}',
            '{{"id": "a", "text": "x"}',
            '{"id": ["a", "text"], "x": ""}',
        ),
        *('{"id": "a": "text", "x"}', '{"id": "a", "text": "x"', '{"id": "a", "text": "x"} '),
        *(
            "",
            '{"": "a", "text": "x"}',
            '"id": "a", "text": "x"',
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(ALIKE, min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)
def test_lines_that_are_nearly_alike_are_read_as_one_by_one(
    pieces: list[str], end: str, last: str
) -> None:
    """Columns are made of lines that are JSON objects of the same strings, and of no others."""
    text = end.join(pieces) + last
    fast, slow = in_blocks(text), line_by_line(text.replace("\r\n", "\n"))
    assert fast == slow


@pytest.mark.parametrize("keys", [("id", "text"), ("text", "id"), ("speaker", "id", "text")])
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_lines_that_are_alike_come_as_columns(
    keys: tuple[str, ...], separators: tuple[str, str]
) -> None:
    """The reader is the fast one for what recognisers write, in both common spellings."""
    rows = [dict.fromkeys(keys, f"\u00e9{at}") for at in range(5)]
    lines = [json.dumps(row, ensure_ascii=False, separators=separators) for row in rows]
    ((columns, others, numbers),) = column_blocks("\n".join(lines), source="x")
    assert columns == {key: [row[key] for row in rows] for key in keys}
    assert (list(others), list(numbers)) == ([], [1, 2, 3, 4, 5])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=5), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\n"]))
def test_the_fast_reader_accepts_what_the_strict_one_does(
    pieces: list[str], end: str, last: str
) -> None:
    """Lines that only together make JSON, or that repeat a key, never pass; others read alike."""
    text = end.join(pieces) + last
    fast, slow = in_blocks(text), line_by_line(text.replace("\r\n", "\n"))
    assert (fast is None) == (slow is None)
    if fast is not None and slow is not None:
        assert [list(row) for row in fast] == [list(row) for row in slow]
        assert [row.get("id") for row in fast] == [row.get("id") for row in slow]


def test_line_numbers_go_on_over_blocks_of_both_kinds() -> None:
    """A file of many blocks, some read strictly, keeps its line numbers."""
    lines = [json.dumps({"id": f"u{i}", "text": "x" * 100}) for i in range(9000)]
    lines[4000] = ""
    lines[7000] = '{"id": "u4000", "text": "late"}'
    file = parse_jsonl("\n".join(lines), source="a", side="reference")
    assert len(file.ids) == len(set(file.ids)) == 8999
    assert file.lines[3999:4001] == [4000, 4002]
    assert file.lines[-1] == 9000
    assert file.texts[file.ids.index("u4000")] == "late"


@pytest.mark.parametrize(
    ("side", "line", "entry"),
    [
        ("reference", '{"id": "a", "text": "x", "speaker": "s"}', ("a", "x")),
        ("reference", '{"audio_filepath": "d/a.wav", "text": "x"}', ("d/a", "x")),
        ("reference", '{"audio_filepath": "a.wav", "offset": 1.5, "text": ""}', ("a#1.5", "")),
        ("reference", '{"id": null, "audio_filepath": "a.wav", "text": "x"}', ("a", "x")),
        ("reference", '{"id": "a", "text": "x", "pred_text": "y"}', ("a", "x")),
        ("reference", '{"id": "a", "text": "x", "error": 1}', ("a", "x")),
        ("reference", '{"id": 7, "text": "x"}', ("7", "x")),
        ("hypothesis", '{"id": 0, "error": "timeout"}', ("0", None)),
        ("hypothesis", '{"audio_filepath": "a.wav", "text": "x", "pred_text": "y"}', ("a", "y")),
        ("hypothesis", '{"id": "a", "error": "timeout"}', ("a", None)),
        ("hypothesis", '{"id": "a", "text": null, "error": "timeout"}', ("a", None)),
        ("hypothesis", '{"id": "a", "text": "x", "error": null}', ("a", "x")),
        ("hypothesis", '{"id": "a", "text": "", "events": [{"t_ms": 1, "kind": "e"}]}', ("a", "")),
        ("hypothesis", '{"id": "a", "text": "\\ud83d\\ude00"}', ("a", "\U0001f600")),
    ],
)
def test_rows(side: Side, line: str, entry: tuple[str, str | None]) -> None:
    """References, manifests, predictions and answers of the protocol."""
    file = parse_jsonl(line, source="a", side=side)
    assert (file.ids[0], file.texts[0]) == entry


def test_a_failed_line_of_a_predicted_manifest_is_no_contradiction() -> None:
    """An error stands for a prediction, whichever line comes first."""
    text = (
        '{"audio_filepath": "a.wav", "text": "ref", "error": "timeout"}\n'
        '{"audio_filepath": "b.wav", "text": "ref", "pred_text": "y"}\n'
    )
    file = parse_jsonl(text, source="a", side="hypothesis")
    assert (file.ids, file.texts) == (["a", "b"], [None, "y"])


@pytest.mark.parametrize(
    ("side", "line", "message"),
    [
        ("reference", '{"id": "u0", "text": "x"}', 'the id "u0" stands already in line 1'),
        ("reference", '{"id": "a", "text": "x", "text": "y"}', 'key "text" stands twice'),
        ("reference", '{"id": "a", "text": NaN}', "NaN is no JSON number"),
        ("reference", '{"id": "a", "text": "x", "n": 1e999}', "out of range"),
        ("reference", '{"id": "a", "text": "x"', "not JSON"),
        ("reference", '{"id": "a", "text": "x"},', "not JSON"),
        ("reference", '["a", "x"]', "holds no JSON object"),
        ("reference", "[" * 100000, "nested too deeply"),
        ("reference", f'{{"id": "a", "text": {"9" * 5000}}}', "too many digits"),
        ("reference", '{"id": 7.0, "text": "x"}', '"id" is neither a string nor a whole number'),
        ("reference", '{"id": true, "text": "x"}', '"id" is neither a string nor a whole number'),
        ("reference", '{"id": "", "text": "x"}', '"id" is empty'),
        ("reference", '{"id": "a", "text": null}', '"text" is not a string'),
        ("reference", '{"id": "a", "txt": "x"}', 'the key "text" is missing'),
        ("reference", '{"text": "x"}', 'the keys "id" and "audio_filepath" are missing'),
        ("reference", '{"audio_filepath": 3, "text": "x"}', '"audio_filepath" is not a string'),
        ("reference", '{"audio_filepath": "a", "offset": "1", "text": "x"}', '"offset" is not'),
        ("reference", '{"audio_filepath": "a", "offset": true, "text": "x"}', '"offset" is not'),
        ("reference", '{"id": "a", "text": "\\ud800"}', "half of a surrogate pair"),
        ("hypothesis", '{"id": "a"}', 'the key "text" is missing'),
        ("hypothesis", '{"id": "a", "text": null}', 'the key "text" is missing'),
        ("hypothesis", '{"id": "a", "text": 1}', '"text" is not a string'),
        ("hypothesis", '{"id": "a", "error": 1}', '"error" is not a string'),
        ("hypothesis", '{"id": "a", "error": ""}', '"error" is empty'),
        ("hypothesis", '{"id": "a", "text": "x", "error": "e"}', 'holds both "text" and "error"'),
        ("hypothesis", '{"id": "\\u001b[2J", "error": ""}', '"error" is empty'),
    ],
)
def test_bad_lines_are_named(side: Side, line: str, message: str) -> None:
    """Every defect is refused with file and line, and without the words of the line."""
    with pytest.raises(InvalidInput) as caught:
        parse_jsonl(GOOD + line + "\n", source="a.jsonl", side=side)
    assert caught.value.message.startswith("a.jsonl, line 2: ")
    assert message in caught.value.message
    assert "zebra" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("first", [0, 1])
def test_a_reference_is_never_taken_for_an_answer(first: int) -> None:
    """A manifest in which only some lines have a prediction is refused, in either order."""
    lines = [
        '{"id": "a", "text": "ref", "pred_text": "said"}\n',
        '{"id": "b", "text": "ref"}\n',
    ]
    text = lines[first] + lines[1 - first]
    with pytest.raises(InvalidInput, match=rf'a, line {2 - first}: the key "pred_text" is missing'):
        parse_jsonl(text, source="a", side="hypothesis")


@pytest.mark.parametrize("text", ['[{"id": "a", "text": "x"}]', '\n[\n{"id": "a", "text": "x"}\n]'])
def test_a_list_is_refused_with_the_way_to_lines(text: str) -> None:
    """What many tools write is one document, and has no line for an utterance."""
    with pytest.raises(InvalidInput, match="a: holds a list") as refused:
        parse_jsonl(text, source="a", side="reference")
    assert "jq" in str(refused.value.hint)


def test_a_mistyped_key_is_recognised() -> None:
    """The hint names the key that looks like the one that is missing."""
    with pytest.raises(InvalidInput) as caught:
        parse_jsonl('{"id": "a", "txet": "x"}', source="a", side="reference")
    assert caught.value.hint == 'did you mean "txet"?'


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("\na\n\n", ["", "a", ""]),
        ("a\r\nb\r\n", ["a\r", "b\r"]),
        ("a\u2028b\n", ["a\u2028b"]),
    ],
)
def test_plain_text_is_one_utterance_a_line(text: str, texts: list[str]) -> None:
    """Only line feeds end a line, a blank line is an empty utterance, ids are line numbers."""
    file = parse_txt(text, source="a.txt")
    assert file.texts == texts
    assert file.ids == [str(line) for line in range(1, len(texts) + 1)]


@pytest.mark.parametrize(
    ("text", "ids", "texts"),
    [
        ("u1 hello world\nu2 good day\n", ["u1", "u2"], ["hello world", "good day"]),
        ("u1\thello\n\n u2  good  day \n", ["u1", "u2"], ["hello", "good  day "]),
        ("u1\nu2 \n", ["u1", "u2"], ["", ""]),
        ("U1 Hello (x) {y}\n", ["U1"], ["Hello (x) {y}"]),
    ],
)
def test_kaldi_text_is_an_id_and_the_words(text: str, ids: list[str], texts: list[str]) -> None:
    """Nothing is a mark, case counts, an id alone is an empty text, and blank lines go."""
    file = parse_kaldi_text(text, source="text")
    assert (file.ids, file.texts) == (ids, texts)


def test_an_id_of_kaldi_stands_once() -> None:
    """Its lines are named."""
    with pytest.raises(InvalidInput, match=r'text, line 3: the id "u1" stands already in line 1'):
        parse_kaldi_text("u1 a\nu2 b\nu1 c\n", source="text")


@pytest.mark.parametrize("format_", ["txt", "jsonl", "trn", "kaldi", "stm", "ctm"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f: is empty"),
        (b" \n\n", "f: is empty"),
        (b"\xef\xbb\xbfa (b)", "f, line 1: starts with a byte order mark"),
        (b"a (b)\nc\0 (d)\n", "f, line 2: holds a NUL character"),
        (b"a (b)\nc\xff (d)\n", "f, line 2: not UTF-8 text"),
    ],
)
def test_bad_bytes_are_named(format_: Format, data: bytes, message: str) -> None:
    """No format reads an empty file, a byte order mark, a NUL or another encoding."""
    with pytest.raises(InvalidInput) as caught:
        read_pair(("f", "h"), (data, b"a (b)\n"), format_=format_, trn=TrnOptions())
    assert caught.value.message == message
