"""``relkit dataset``: check, lock, stats, diff, import and candidates."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.output import print_json, progress_bar, put, say, show
from relkit.core.errors import ExitCode, UsageError


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run", metavar="RUN", help="Compare labels with what a run recognised; repeatable."
        ),
    ] = None,
    rev: Annotated[
        str | None, typer.Option("--rev", metavar="REV", help="Check it at a git revision.")
    ] = None,
    write_default: Annotated[
        bool, typer.Option("--write-default", help="Write a first contract from the data.")
    ] = False,
    common: Common,
) -> None:
    """Check a dataset against its contract.

    Exits 1 where the contract is broken. Needs Great Expectations, the extra contracts.
    Example: relkit dataset check assistant-commands --run 20260131
    """
    from relkit.core.codec import encode
    from relkit.curation.check import CheckOptions
    from relkit.curation.view import check_text
    from relkit.wiring import datasets

    if write_default and (run or rev):
        raise UsageError("--write-default reads the working tree alone", hint="check it afterwards")
    workspace = common.open()
    with progress_bar("decoding", quiet=common.quiet) as progress:
        if write_default:
            written = datasets.write_default(workspace, name, progress)
        else:
            options = CheckOptions(name=name, rev=rev, runs=tuple(run or ()))
            outcome = datasets.check_dataset(workspace, options, progress)
    if write_default:
        if common.as_json:
            print_json({"written": written})
        say(f"wrote {written}: read it, then relkit dataset check {name}", quiet=common.quiet)
        return
    show(outcome, common, text=check_text, document=encode)
    if not outcome.passed:
        raise typer.Exit(ExitCode.FAILED)


def lock(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    common: Common,
) -> None:
    """Put the audio under DVC and record the version.

    The manifest stays in git. Nothing is committed or pushed.
    Example: relkit dataset lock assistant-commands
    """
    from relkit.core.codec import encode
    from relkit.core.wording import counted, safe
    from relkit.wiring.datasets import lock_dataset

    workspace = common.open()
    outcome = lock_dataset(workspace, name)
    lock = outcome.lock
    if outcome.tracked.initialised:
        say("set up DVC in the workspace", quiet=common.quiet)
    if taken := outcome.tracked.untracked:
        say(f"took {taken} audio files out of git's index; they stay where they are")
    if outcome.untold:
        columns = ", ".join(safe(column) for column in outcome.untold)
        say(f"relkit: warning: the manifest does not tell the values of {columns}")
    if not outcome.tracked.remote:
        say("relkit: warning: no remote: a clone will lack the audio, and so will CI")
        say("  add one: dvc remote add -d NAME URL")
    if common.as_json:
        print_json(
            {
                "name": lock.name,
                "digest": lock.digest,
                "utterances": lock.utterances,
                "subjects": lock.subjects,
                "slices": encode(lock.slices),
                "audio": dict(lock.audio.dvc),
                "changed": outcome.changed,
                "untracked": outcome.tracked.untracked,
                "initialised": outcome.tracked.initialised,
            }
        )
        return
    put(
        f"{safe(name)}: {counted(lock.utterances, 'utterance')}, "
        f"{len(lock.audio.sha256)} audio files, subjects: {lock.subjects}\n"
        f"{lock.digest}" + ("" if outcome.changed else "\nunchanged: the lock said so already")
    )
    folder = workspace.datasets.relative_to(workspace.folder) / name
    say(f"next: git add {folder} .dvc && git commit, then: dvc push", quiet=common.quiet)


def stats(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    common: Common,
) -> None:
    """Show slices, speakers and coverage.

    Lengths are those of the manifest. Example: relkit dataset stats assistant-commands
    """
    from relkit.datasets.view import stats_document, stats_text
    from relkit.wiring.datasets import dataset_stats

    outcome = dataset_stats(common.open(), name)
    show(outcome, common, text=stats_text, document=stats_document)


def diff(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    before: Annotated[str, typer.Argument(metavar="REV", help="A git revision.")],
    after: Annotated[
        str | None, typer.Argument(metavar="REV", help="Another one (default: the working tree).")
    ] = None,
    *,
    common: Common,
) -> None:
    """Say what changed between two revisions.

    Ids only, no text; no audio is fetched.
    Example: relkit dataset diff assistant-commands HEAD~1 HEAD
    """
    from functools import partial

    from relkit.datasets.view import diff_document, diff_text
    from relkit.wiring.datasets import diff_dataset

    outcome = diff_dataset(common.open(), name, before, after)
    show(outcome, common, text=partial(diff_text, name), document=partial(diff_document, name))


def import_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="nemo, kaldi, common-voice, audiofolder or csv.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The manifest, or the folder.")],
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name it (default: as the source).")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy/--link-root", help="Copy the audio in, or name its folder only.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="KEY=COLUMN", help="csv: the column of audio, text, speaker …"
        ),
    ] = None,
    common: Common,
) -> None:
    """Make a dataset from NeMo, Kaldi, Common Voice, AudioFolder or CSV data.

    Example: relkit dataset import kaldi data/test --name calls
    """
    from relkit.core.codec import encode
    from relkit.datasets.imports.run import ImportOptions, import_kind
    from relkit.datasets.view import import_text
    from relkit.gate.starter import starter_text
    from relkit.wiring.datasets import import_dataset
    from relkit.wiring.gate import write_starter

    workspace = common.open()
    options = ImportOptions(
        kind=import_kind(kind), path=path, name=name, copy=copy, columns=tuple(column or ())
    )
    with progress_bar("reading audio", quiet=common.quiet) as progress:
        summary = import_dataset(workspace, options, progress)
    starter = write_starter(workspace, summary.dataset)
    show(
        summary,
        common,
        text=import_text,
        document=lambda made: {**encode(made), "starter": encode(starter)},
    )
    say(starter_text(starter), quiet=common.quiet)
    plan = f"relkit gate {starter.policy} --plan --suite {starter.suite}"
    say(f"next: relkit eval {starter.suite} --limit 5, and: {plan}", quiet=common.quiet)


def candidates(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="The run to review; more: other systems' runs."),
    ],
    *,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="RUN", help="Find slices worse than here.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="List at most so many.")
    ] = 20,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write a CSV table.")
    ] = None,
    common: Common,
) -> None:
    """Rank the utterances of a run for human review; ids only.

    Revoked consent keeps an utterance out; unknown consent, too, where the dataset requires it.
    Example: relkit dataset candidates 20260131 --limit 20
    """
    from relkit.core import storage
    from relkit.curation.candidates import ReviewOptions
    from relkit.curation.files import review_csv, review_document
    from relkit.curation.view import review_text
    from relkit.wiring.datasets import review_candidates

    workspace = common.open()
    options = ReviewOptions(runs=tuple(runs), baseline=baseline, limit=limit)
    review = review_candidates(workspace, options)
    if output is not None:
        storage.write_text(output, review_csv(review))
        say(f"wrote {output.name}", quiet=common.quiet)
    if common.as_json or output is None or not common.quiet:
        show(review, common, text=review_text, document=review_document)
