"""``relkit redact`` as a user types it: text through, spans, counts, bad input."""

import io
import json
import sys
from pathlib import Path

import pytest

import relkit
from relkit.adapters import redaction
from relkit.cli.boundary import run
from relkit.core.errors import ExitCode
from tests.conftest import Workspace
from tests.serving_data import bare_workspace

SPOKEN = "call me at two oh two five five five oh one four three"
TEXT = f"{SPOKEN}\r\n\nnobody here, version two point four\nno end, mail jane@example.org"
MASKED = "call me at [PHONE_1]\r\n\nnobody here, version two point four\nno end, mail [EMAIL_1]"
NAMES = "names are not covered"


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a workspace with nothing in it but a text."""
    workspace = bare_workspace(tmp_path, capsys)
    (workspace.folder / "a.txt").write_bytes(TEXT.encode())
    return workspace


def test_text_goes_through_with_its_values_masked(bare: Workspace) -> None:
    """Line ends, empty lines and a last line without an end stay; names are said to stay, too."""
    answer = bare.relkit("redact", str(bare.folder / "a.txt"))
    assert (answer.code, answer.out) == (ExitCode.OK, MASKED)
    assert NAMES in answer.err
    assert "2 values in 2 of 4 lines" in answer.err


def test_quiet_leaves_out_counts_and_not_the_warning(bare: Workspace) -> None:
    """That names are not covered is said every time."""
    answer = bare.relkit("redact", str(bare.folder / "a.txt"), "--quiet")
    assert NAMES in answer.err
    assert "lines" not in answer.err


def test_spans_are_places_without_text(bare: Workspace) -> None:
    """One JSON line per line of input, in code points."""
    answer = bare.relkit("redact", str(bare.folder / "a.txt"), "--spans")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert lines[0] == {"line": 1, "spans": [{"start": 11, "end": len(SPOKEN), "type": "PHONE"}]}
    assert [line["line"] for line in lines] == [1, 2, 3, 4]
    assert "jane" not in answer.out + answer.err


def test_json_is_one_document_of_counts(bare: Workspace) -> None:
    """It says what was not looked for, and has no text."""
    file = str(bare.folder / "a.txt")
    counts = bare.relkit("redact", file, "--json").document
    assert counts["by_type"] == {"EMAIL": 1, "PHONE": 1}
    assert (counts["lines"], counts["lines_masked"], counts["spans"]) == (4, 2, 2)
    assert "names" in counts["not_covered"]
    where = bare.relkit("redact", file, "--json", "--spans").document["where"]
    assert [place["line"] for place in where] == [1, 4]


def test_standard_input_is_read_line_by_line(
    bare: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file, or with a dash."""
    for arguments in (["redact"], ["redact", "-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
        assert bare.relkit(*arguments).out == MASKED


def test_only_a_field_of_json_lines_is_masked(bare: Workspace) -> None:
    """Every other byte of the line stays."""
    line = f'{{"id":"202-555-0143",  "turns":[{{"text":"{SPOKEN}"}}]}}\n'
    (bare.folder / "a.jsonl").write_text(line)
    options = ("--format", "jsonl", "--field", "turns.text")
    answer = bare.relkit("redact", str(bare.folder / "a.jsonl"), *options)
    assert answer.out == line.replace(SPOKEN, "call me at [PHONE_1]")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"a\n\xff secret\n", (), "a.bin, line 2: byte 1 is no UTF-8"),
        (b"x" * 9_000_000, (), "a.bin, line 1: is longer than 8 MiB"),
        (b"secret", ("--format", "jsonl"), "a.bin, line 1: is not one JSON value"),
        (b"{}\n", ("--format", "jsonl", "--field", "a"), "no line has text in a;"),
        (b"", ("--field", "a"), "--field is for --format jsonl"),
        (b"", ("--language", "en,xx"), '--language: there is no table for "xx"'),
    ],
)
def test_bad_input_is_named_by_its_line(
    bare: Workspace, data: bytes, options: tuple[str, ...], message: str
) -> None:
    """One message with the place, and nothing of what is in it."""
    (bare.folder / "a.bin").write_bytes(data)
    answer = bare.relkit("redact", str(bare.folder / "a.bin"), *options)
    assert answer.code == ExitCode.INVALID
    assert message in answer.err
    assert "secret" not in answer.out.replace("a\n", "") + answer.err


@pytest.mark.parametrize("name", ["absent.txt", "."])
def test_what_is_no_file_is_said(bare: Workspace, name: str) -> None:
    """By its name and no folder of the machine."""
    answer = bare.relkit("redact", str(bare.folder / name))
    assert answer.code == ExitCode.INVALID
    assert str(bare.folder.parent) not in answer.err


def test_without_the_extra_nothing_is_masked(
    bare: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the patterns would look like all of them: the extra is named instead."""
    monkeypatch.setattr(redaction, "find_spec", lambda _: None)
    answer = bare.relkit("redact", str(bare.folder / "a.txt"))
    assert (answer.code, answer.out) == (ExitCode.INVALID, "")
    assert "relkit-speech[redact]" in answer.err


def test_texts_are_masked_from_python() -> None:
    """The same value has the same placeholder in all of them."""
    assert relkit.redact([SPOKEN, "Ruf 202-555-0143 an"], language="en,de") == [
        "call me at [PHONE_1]",
        "Ruf [PHONE_1] an",
    ]


def test_it_needs_no_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text is masked in any folder."""
    (tmp_path / "a.txt").write_text(SPOKEN)
    assert run(["redact", str(tmp_path / "a.txt")]) == ExitCode.OK
    assert capsys.readouterr().out == "call me at [PHONE_1]"
