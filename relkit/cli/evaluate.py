"""``relkit eval``, ``rescore``, ``score``, ``report``, ``runs`` and ``compare``."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relkit.cli.app import Common
from relkit.cli.output import print_json, progress_bar, put, result_is_stored, say, show
from relkit.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.core.config import Workspace
    from relkit.evaluation.evaluate import EvalResult
    from relkit.report.run import ReportOptions
    from relkit.report.types import SharedDocument


def evaluate(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name, or its path.")],
    *,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="KEY=VALUE", help="Change an option of the system."),
    ] = None,
    repeat: Annotated[
        int | None, typer.Option("--repeat", min=1, max=100, help="Ask for every clip so often.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    jobs: Annotated[
        str,
        typer.Option(
            "--jobs", metavar="N", help="Processes, each with its system; auto: all that fit."
        ),
    ] = "1",
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option("--executor", help="Decode here, or on the Ray cluster of RAY_ADDRESS."),
    ] = "local",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask for everything again; use no stored answer.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="A smoke run of N utterances."),
    ] = None,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Let audio go to a socket of another machine."),
    ] = False,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="RUN",
            help="Measure the conversations of RUN again; nothing is spoken.",
        ),
    ] = None,
    stderr: Annotated[
        bool, typer.Option("--stderr", help="Show what the system's program writes to stderr.")
    ] = False,
    common: Common,
) -> None:
    """Run a suite: decode, score by slice, write a run.

    Exits 0 once the run is written, whatever the metrics are; 4 if nothing could be scored.
    Example: relkit eval demo --jobs 2
    """
    from relkit.evaluation.evaluate import EvalOptions
    from relkit.evaluation.types import job_count
    from relkit.wiring import evaluation

    options = EvalOptions(
        suite=suite,
        system=tuple(system or ()),
        repeat=repeat,
        resume=resume,
        jobs=job_count(jobs),
        executor=executor,
        fresh=fresh,
        limit=limit,
        stderr=stderr,
        allow_remote=allow_remote,
        replay=replay,
    )
    workspace = common.open()
    with progress_bar("decoding", quiet=common.quiet) as progress:
        result = evaluation.evaluate(workspace, options, progress)
    show_run(result, common)


def rescore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run: id, prefix, path or @latest.")],
    *,
    normalizer: Annotated[
        str | None, typer.Option("--normalizer", metavar="NAME", help="Use another normalizer.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="SUITE", help="Use another suite.")
    ] = None,
    common: Common,
) -> None:
    """Score the stored predictions of a run again; nothing is decoded.

    Example: relkit rescore 20260131 --normalizer digits
    """
    from relkit.evaluation.evaluate import RescoreOptions
    from relkit.wiring import evaluation

    options = RescoreOptions(run=run, normalizer=normalizer, suite=suite)
    result = evaluation.rescore(common.open(), options)
    show_run(result, common)


def show_run(result: "EvalResult", common: Common) -> None:
    """Show warnings, the summary or the document, and where the report is; 4 for no data."""
    from relkit.core.codec import encode
    from relkit.evaluation.view import eval_summary

    for warning in result.warnings:
        say(f"relkit: warning: {warning}")
    result_is_stored()
    show(result.report, common, text=eval_summary, document=encode)
    say(f"report: .relkit/runs/{result.report.run}/report.json", quiet=common.quiet)
    if 0 < result.report.scored == result.report.failures:
        say(
            "relkit: warning: the system answered nothing; of a program --stderr shows what it says"
        )
    if not result.report.scored:
        say("relkit: nothing could be scored: every item was unusable")
        raise typer.Exit(ExitCode.NO_DATA)


class Format(StrEnum):
    """How the two files are written; ``ctm`` is an STM reference and a CTM hypothesis."""

    TRN = "trn"
    JSONL = "jsonl"
    KALDI = "kaldi"
    TXT = "txt"
    STM = "stm"
    CTM = "ctm"


def score(
    *,
    ref: Annotated[Path, typer.Option("--ref", metavar="FILE", help="What was said.")],
    hyp: Annotated[Path, typer.Option("--hyp", metavar="FILE", help="What was recognised.")],
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="By default as the files end; ctm: an STM --ref."),
    ] = None,
    normalizer: Annotated[
        str,
        typer.Option("--normalizer", metavar="NAME", help="none, basic, english, digits or yours."),
    ] = "none",
    against_jiwer: Annotated[
        bool, typer.Option("--against-jiwer", help="Explain why jiwer's number differs.")
    ] = False,
    optional_deletable: Annotated[
        bool, typer.Option("-D", help="NIST: a missing (word) in parentheses is correct.")
    ] = False,
    fragments: Annotated[
        bool, typer.Option("-F", help="NIST: a fragment (wo-) matches a word it begins or ends.")
    ] = False,
    case_sensitive: Annotated[
        bool, typer.Option("-s", help="NIST: compare as written instead of in lower case.")
    ] = False,
    common: Common,
) -> None:
    """Score text against text.

    Example: relkit score --ref ref.txt --hyp hyp.txt --normalizer english --against-jiwer
    """
    from relkit.scoring.normalizers import BUILT_IN
    from relkit.scoring.run import ScoreOptions, score_document, score_summary
    from relkit.scoring.types import TrnOptions
    from relkit.wiring import evaluation
    from relkit.wiring.stores import workspace_if_any

    workspace = None if normalizer in BUILT_IN else workspace_if_any(common.start)
    options = ScoreOptions(
        reference=ref,
        hypothesis=hyp,
        format=None if format_ is None else format_.value,
        normalizer=normalizer,
        trn=TrnOptions(
            optional_deletable=optional_deletable,
            fragments=fragments,
            case_sensitive=case_sensitive,
        ),
        against_jiwer=against_jiwer,
    )
    result = evaluation.score_files(workspace, options)
    show(result, common, text=score_summary, document=score_document)


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run: id, prefix, path or @latest.")],
    baseline: Annotated[
        str | None,
        typer.Argument(
            metavar="[BASELINE]", help="An older run to show beside it.", show_default=False
        ),
    ] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Put transcripts into the page.")
    ] = False,
    with_audio: Annotated[
        bool,
        typer.Option("--with-audio", help="Put clips into the page, where consent is granted."),
    ] = False,
    decision: Annotated[
        Path | None,
        typer.Option(
            "--decision", metavar="FILE", help="Show this decision about the run, not the newest."
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(
            "--junit", metavar="FILE", help="Write JUnit XML, of the decision where one is given."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Show a finished run as a page.

    Example: relkit report 20260131 --with-text --output report.html
    """
    from relkit.core import storage
    from relkit.core.codec import encode
    from relkit.report.run import ReportOptions
    from relkit.wiring import evaluation

    workspace = common.open()
    page_only = bool(baseline or with_text or with_audio)
    sharing = None if common.as_json else evaluation.sharing_of(workspace)
    if sharing is not None:
        if page_only:
            raise UsageError(
                "privacy.ci is shared: a report has no transcripts, no audio and no baseline",
                hint="leave them out, or make the page where ci is internal",
            )
        documents = evaluation.shared_documents(workspace, run, decision, sharing)
        form = "junit" if junit else "markdown" if markdown else "page"
        name = evaluation.read_report(workspace, run).run
        _shared_report(name, documents, junit or output, common, workspace, form)
        return
    if junit is not None:
        if page_only or markdown or common.as_json or output is not None:
            raise UsageError(
                "--junit writes one file: the decision's checks, or the numbers of the report",
                hint="call relkit report again for a page",
            )
        storage.write_bytes(junit, evaluation.junit_xml(workspace, run, decision))
        say(f"junit: {workspace.shown(junit)}", quiet=common.quiet)
        return
    if markdown or common.as_json:
        if page_only or decision is not None:
            raise UsageError(
                "a baseline, a decision, transcripts and audio go into the HTML page only",
                hint="leave out --markdown and --json",
            )
        if common.as_json:
            print_json(encode(evaluation.read_report(workspace, run)))
            return
        page = evaluation.report_markdown(workspace, run)
        if output is None:
            put(page)
            return
        storage.write_text(output, page)
        say(f"report: {workspace.shown(output)}")
        return
    options = ReportOptions(
        run=run, baseline=baseline, decision=decision, with_text=with_text, with_audio=with_audio
    )
    _html(options, workspace, output, quiet=common.quiet)


def _shared_report(
    run: str,
    documents: "Sequence[SharedDocument]",
    path: Path | None,
    common: Common,
    workspace: "Workspace",
    form: str,
) -> None:
    """Write or print what may leave the team of a run: ``page``, ``markdown`` or ``junit``."""
    from relkit.core import storage
    from relkit.report.github_view import shared_markdown
    from relkit.report.junit_view import shared_junit
    from relkit.wiring.evaluation import renderer

    if form == "junit":
        data = shared_junit(documents[-1])
    elif form == "markdown":
        data = "\n".join(map(shared_markdown, documents)).encode("utf-8", "replace")
    else:
        data = renderer().shared_html(documents).encode("utf-8", "replace")
    if path is None and form == "markdown":
        put(data.decode())
        return
    target = path or workspace.state / "reports" / f"{run}-shared.html"
    storage.write_bytes(target, data)
    say(f"report: {workspace.shown(target)} (privacy.ci: shared)", quiet=common.quiet)


def _html(
    options: "ReportOptions", workspace: "Workspace", output: Path | None, *, quiet: bool
) -> None:
    """Write the page and say where; one with transcripts or audio says so, too."""
    from relkit.core import storage
    from relkit.wiring import evaluation

    page = evaluation.report_page(workspace, options)
    # A page that was not told where goes to ``.relkit/reports``, never into a run.
    beside = "" if page.baseline is None else f"-beside-{page.baseline.run}"
    path = output or workspace.state / "reports" / f"{page.report.run}{beside}.html"
    storage.write_text(path, evaluation.renderer().report_html(page))
    say(f"report: {workspace.shown(path)}", quiet=quiet)
    if options.with_text or options.with_audio:
        parts = (("transcripts", options.with_text), ("audio", options.with_audio))
        held = " and ".join(name for name, has in parts if has)
        say(f"  it holds {held}: share it only with people who may have them", quiet=quiet)


def runs(
    *,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="SUITE", help="Only runs of this suite.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="List at most N.")
    ] = 20,
    common: Common,
) -> None:
    """List the runs, newest first.

    The newest is also called @latest, the one before it of its suite @prev.
    Example: relkit runs --suite demo
    """
    from relkit.core.codec import encode
    from relkit.evaluation.listing import runs_text
    from relkit.wiring import evaluation

    listed = evaluation.list_runs(common.open(), suite=suite, most=limit)
    show(
        listed,
        common,
        text=partial(runs_text, suite=suite),
        document=lambda runs: {"runs": [encode(run) for run in runs]},
    )


def compare(
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="The run to compare with, e.g. @prev.")
    ],
    candidate: Annotated[
        str,
        typer.Argument(metavar="CANDIDATE", help="The run that may have changed, e.g. @latest."),
    ],
    *,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="Compare this one, e.g. cer.")
    ] = None,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Show confusions: words of transcripts.")
    ] = False,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=1000, help="Show so many of each.")
    ] = 10,
    common: Common,
) -> None:
    """Show where two runs differ, slice by slice.

    Example: relkit compare 20260131T09 20260131T12 --top 20
    """
    from functools import partial

    from relkit.comparison.compare import CompareOptions
    from relkit.comparison.view import compare_summary
    from relkit.wiring import evaluation

    options = CompareOptions(
        baseline=baseline, candidate=candidate, metric=metric, with_text=with_text, top=top
    )
    report = evaluation.compare(common.open(), options)
    show(report, common, text=partial(compare_summary, top=top))
