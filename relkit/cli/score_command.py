"""``relkit score``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put


class Format(StrEnum):
    """How the two files are written."""

    TRN = "trn"
    JSONL = "jsonl"
    TXT = "txt"


_ENDINGS = {".trn": Format.TRN, ".jsonl": Format.JSONL, ".json": Format.JSONL}


def command(
    *,
    ref: Annotated[Path, typer.Option("--ref", metavar="FILE", help="What was said.")],
    hyp: Annotated[Path, typer.Option("--hyp", metavar="FILE", help="What was recognised.")],
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="By default told by the ending of --ref; else txt."),
    ] = None,
    normalizer: Annotated[
        str,
        typer.Option("--normalizer", metavar="NAME", help="none, basic, english, digits or yours."),
    ] = "none",
    against_jiwer: Annotated[
        bool, typer.Option("--against-jiwer", help="Explain why jiwer's number differs.")
    ] = False,
    optional_deletable: Annotated[
        bool, typer.Option("-D", help="TRN: a missing (word) in parentheses is correct.")
    ] = False,
    fragments: Annotated[
        bool, typer.Option("-F", help="TRN: a fragment (wo-) matches a word it begins or ends.")
    ] = False,
    case_sensitive: Annotated[
        bool, typer.Option("-s", help="TRN: compare as written instead of in lower case.")
    ] = False,
    common: Common,
) -> None:
    """Score text against text.

    Example: relkit score --ref ref.txt --hyp hyp.txt --normalizer english --against-jiwer
    """
    from relkit import wiring
    from relkit.domain.scores import TrnOptions
    from relkit.rules.normalizing import BUILT_IN

    settings = None if normalizer in BUILT_IN else wiring.settings_if_any(common.start)
    chosen = format_ or _ENDINGS.get(ref.suffix, Format.TXT)
    result = wiring.score_files(
        ref,
        hyp,
        settings=settings,
        format_=chosen.value,
        normalizer=normalizer,
        trn=TrnOptions(
            optional_deletable=optional_deletable,
            fragments=fragments,
            case_sensitive=case_sensitive,
        ),
        against_jiwer=against_jiwer,
    )
    if common.as_json:
        from relkit.records.scores import score_document

        print_json(score_document(result))
        return
    from relkit.cli.score_text import score_summary

    put(score_summary(result))
