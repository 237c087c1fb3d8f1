"""``relkit redact``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.host import reader_has_left
from relkit.cli.output import print_json, say
from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.core.digests import JsonValue


class TextFormat(StrEnum):
    """What a line of the input is."""

    LINES = "lines"
    JSONL = "jsonl"


def redact(
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="A UTF-8 file; - is standard input.")
    ] = "-",
    *,
    form: Annotated[
        TextFormat,
        typer.Option("--format", metavar="FORMAT", help="lines (default), or jsonl: JSON lines."),
    ] = TextFormat.LINES,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME…",
            help="jsonl: mask the strings of these fields only (turns.text); else every string.",
        ),
    ] = None,
    language: Annotated[
        str,
        typer.Option("--language", metavar="LANGUAGES", help="Of en, de, es, fr; default en."),
    ] = "en",
    spans: Annotated[
        bool, typer.Option("--spans", help="Print where values are, as JSON lines, and no text.")
    ] = False,
    common: Common,
) -> None:
    """Mask personal values in text, for local debugging only.

    Names are not covered: what comes out is not anonymous.
    Example: relkit redact transcripts.txt --language en,de
    """
    from relkit.core.codec import encode
    from relkit.core.wording import terminal
    from relkit.core.yaml_text import shown
    from relkit.redaction.run import Masking, redact_lines
    from relkit.redaction.view import NAMES_NOT_COVERED, redaction_text
    from relkit.wiring.redaction import languages_of, scanner_of, text_lines

    if field and form is not TextFormat.JSONL:
        raise UsageError("--field is for --format jsonl")
    path = None if file == "-" else Path(file)
    masking = Masking(scanner_of(languages_of(language)))
    say(NAMES_NOT_COVERED)
    places: list[JsonValue] = []
    for masked, line in redact_lines(
        masking,
        text_lines(path),
        source="standard input" if path is None else shown(path.name),
        jsonl=form is TextFormat.JSONL,
        fields=field or (),
    ):
        if common.as_json:
            if spans and line.spans:
                places.append(encode(line))
        elif spans:
            print_json(encode(line))
        else:
            text = terminal(masked) if sys.stdout.isatty() else masked
            sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
        if path is None:
            sys.stdout.flush()
        if reader_has_left():
            return
    counts = masking.counts()
    if common.as_json:
        print_json({**encode(counts), **({"where": places} if spans else {})})
    else:
        say(redaction_text(counts), quiet=common.quiet)
