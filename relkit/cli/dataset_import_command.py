"""``relkit dataset import``."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say
from relkit.domain.imports import ImportSummary
from relkit.records.digests import JsonValue


def command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="nemo, kaldi, common-voice or audiofolder.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The manifest, or the folder.")],
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name it (default: as the source).")
    ] = None,
    copy: Annotated[
        bool,
        typer.Option("--copy/--link-root", help="Copy the audio in, or name its folder only."),
    ] = False,
    common: Common,
) -> None:
    """Make a dataset from NeMo, Kaldi, Common Voice or AudioFolder data.

    Example: relkit dataset import kaldi data/test --name calls
    """
    from relkit import wiring
    from relkit.cli.progress import progress_bar
    from relkit.wiring.importing import import_dataset

    settings = wiring.settings(common.start)
    with progress_bar("copying", quiet=common.quiet or not copy) as progress:
        summary = import_dataset(settings, kind, path, name=name, copy=copy, progress=progress)
    if common.as_json:
        print_json(_document(summary))
    else:
        put(_text(summary))
    say(f"next: name it in a suite: dataset: {{name: {summary.dataset}}}", quiet=common.quiet)


def _document(summary: ImportSummary) -> dict[str, JsonValue]:
    return {
        "dataset": summary.dataset,
        "path": f"datasets/{summary.dataset}",
        "kind": summary.kind,
        "utterances": summary.utterances,
        "speakers": summary.speakers,
        "columns": list(summary.columns),
        "slices": list(summary.slices),
        "hours": round(summary.hours, 6),
        "timed": summary.timed,
        "audio": "copied" if summary.copied else "linked",
        "missing_audio": summary.missing_audio,
        "unlisted_audio": summary.unlisted_audio,
        "left_out": dict(summary.left_out),
        "renamed": dict(summary.renamed),
        "dropped": dict(summary.dropped),
        "consent": dict(summary.consent),
        "notes": list(summary.notes),
    }


def _text(summary: ImportSummary) -> str:
    speakers = "speakers not named" if summary.speakers is None else f"{summary.speakers} speakers"
    known = "" if summary.timed == summary.utterances else f" known for {summary.timed} of them"
    size = f"{summary.utterances} utterances, {speakers}, {summary.hours:.2f} h{known}"
    lines = [
        f"dataset {summary.dataset}, from {summary.kind}: {size}",
        f"audio {'copied' if summary.copied else 'left where it is'}",
        f"slices: {', '.join(summary.slices) or 'none'}",
        "consent: " + ", ".join(f"{count} {word}" for word, count in summary.consent.items()),
    ]
    lines += [f"{count} left out: {reason}" for reason, count in summary.left_out.items()]
    if summary.unlisted_audio:
        lines.append(f"{summary.unlisted_audio} audio files are named by no entry: left out")
    lines += [f"column {old} is now {new}" for old, new in summary.renamed.items()]
    lines += [f"column {name} left out: {reason}" for name, reason in summary.dropped.items()]
    return "\n".join(safe(line) for line in [*lines, *summary.notes])
