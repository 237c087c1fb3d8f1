"""``relkit report``: a finished run as a page, beside a baseline, with what may be shown of it.

And what other systems read of a decision: JUnit XML, GitHub's summary and comment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from relkit.comparison.compare import CompareOptions
from relkit.comparison.ports import Rows
from relkit.comparison.rows import most_errors_first
from relkit.comparison.types import CompareReport, Row
from relkit.conversation.types import MeasuredConversation
from relkit.core import storage
from relkit.core.errors import InvalidInput, NoData, UsageError
from relkit.core.slices import SliceSpec, spec_of
from relkit.datasets.ports import AudioReader, DatasetStore
from relkit.datasets.types import NO_VALUE, Answer, Clip, Consent, Unusable, Utterance
from relkit.evaluation.evaluate import Normalizers
from relkit.evaluation.ports import ReportRenderer, RunStore, SliceAggregator
from relkit.evaluation.streams import stream_words, taken_back_words
from relkit.evaluation.types import EvalReport, RunHeader, check_same_measure, overall
from relkit.gate.types import GateDecision, Override
from relkit.monitoring.types import LiveFinding
from relkit.report.github_view import (
    COMMENT_BYTES,
    SUMMARY_BYTES,
    annotations,
    comment,
    finding_annotations,
    finding_summary,
    marker,
    shared_annotations,
    shared_markdown,
    step_summary,
)
from relkit.report.junit_view import decision_junit, finding_junit, report_junit, shared_junit
from relkit.report.shared_numbers import Sharing
from relkit.report.shared_view import shared_decision, shared_finding, shared_report
from relkit.report.types import EmbeddedAudio, Page, SharedDocument
from relkit.report.view import overrides_markdown
from relkit.statistics.estimates import sums_needed
from relkit.statistics.rates import RATE_METRICS

MOST_AUDIO_BYTES = 16 << 20
"""Encoded audio that one page carries at most; clips with the most errors come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The run to show, beside which baseline, and whether with transcripts and clips.

    ``decision`` is the file of a decision about it, None for the newest one.
    """

    run: str
    baseline: str | None = None
    decision: Path | None = None
    with_text: bool = False
    with_audio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePorts:
    """What a page is made from; ``encode`` turns a clip into bytes of ``media_type``.

    ``decision`` gives the decision about a run from a file, or the newest one without a file;
    ``overrides`` those about a run or its candidate; ``compare`` compares it with a baseline;
    ``slices`` opens its results, ``conversations`` measures those that it held, None where the
    dataset is another now; ``recording`` gives the file of one. ``normalizers`` are those of the
    workspace.
    """

    runs: RunStore
    rows: Rows
    datasets: DatasetStore
    audio: AudioReader
    encode: Callable[[Clip], bytes]
    media_type: str
    decision: Callable[[str, Path | None], GateDecision | None]
    overrides: Callable[[EvalReport], tuple[Override, ...]]
    compare: Callable[[CompareOptions], CompareReport]
    slices: Callable[[Path], SliceAggregator]
    normalizers: Normalizers
    conversations: Callable[[RunHeader], tuple[MeasuredConversation, ...] | None] = lambda _: None
    recording: Callable[[RunHeader, str], bytes | None] = lambda *_: None


MOST_WORDS = 20
"""So many words that were taken back are shown of a slice."""


def report_page(options: ReportOptions, ports: PagePorts) -> Page:
    """Return a run's page; raises InvalidInput, UsageError.

    A baseline must be another run of the same dataset, suite and normalizer, by digest.
    """
    run, baseline = options.run, options.baseline
    report = ports.runs.read_report(run)
    header = ports.runs.read_header(run)
    before = None if baseline is None else ports.runs.read_report(baseline)
    if before is not None:
        check_same_measure(report, before)
    rows = ports.rows(run, with_text=options.with_text, with_audio=options.with_audio)
    return Page(
        header=header,
        report=report,
        rows=rows,
        baseline=before,
        with_text=options.with_text,
        audio=_embedded(header, rows, ports) if options.with_audio else None,
        decision=ports.decision(report.run, options.decision),
        overrides=ports.overrides(report),
        taken_back=_taken_back(header, rows, ports) if options.with_text else None,
        compared=None if baseline is None else _compared(run, baseline, ports),
        conversations=None if report.conversations is None else ports.conversations(header),
    )


def _taken_back(
    header: RunHeader, rows: Sequence[Row], ports: PagePorts
) -> Mapping[str, tuple[tuple[str, int], ...]] | None:
    """Return by slice the words that were taken back most, None for what is no stream."""
    if header.suite.task != "stream":
        return None
    normalizer = ports.normalizers.read(header.normalizer.name, header.normalizer.digest)
    specs = [SliceSpec.parse(name) for name in header.suite.slices]
    slices = {
        row.id: [
            spec.key(row.slices.get(name, NO_VALUE) for name in spec.columns) for spec in specs
        ]
        for row in rows
    }
    words = stream_words(header.suite, normalizer)
    return taken_back_words(ports.runs.read_outcomes(header.run), slices, words, most=MOST_WORDS)


def _compared(run: str, baseline: str, ports: PagePorts) -> CompareReport | str:
    """Return the paired comparison, or why the two runs cannot be compared utterance by utterance.

    A page can do without it: two reports may stand beside each other where results are missing.
    """
    try:
        return ports.compare(CompareOptions(baseline=baseline, candidate=run))
    except (InvalidInput, NoData) as error:
        return error.message


def report_markdown(run: str, ports: PagePorts, renderer: ReportRenderer) -> str:
    """Return a run as Markdown, with the overrides about it; raises InvalidInput, UsageError."""
    report = ports.runs.read_report(run)
    return renderer.report_markdown(report) + overrides_markdown(ports.overrides(report))


def junit_xml(run: str, decision: Path | None, ports: PagePorts) -> bytes:
    """Return the JUnit XML of a decision about a run, or without one of the run's numbers.

    Raises InvalidInput where the decision is about another run.
    """
    report = ports.runs.read_report(run)
    judged = None if decision is None else ports.decision(report.run, decision)
    return report_junit(report) if judged is None else decision_junit(judged)


def shared_documents(
    run: str, decision: Path | None, ports: PagePorts, sharing: Sharing
) -> tuple[SharedDocument, ...]:
    """Return what may leave the team of a run, and of the decision about it where there is one.

    Nothing is taken over from a page: no row, no clip, no transcript. Raises InvalidInput.
    """
    report = ports.runs.read_report(run)
    sharing = replace(sharing, registered={report.run: report.registered or {}})
    results, sums = ports.runs.results(run), None
    if results is not None and report.slices:
        metrics = [name for name in overall(report).metrics if name in RATE_METRICS]
        specs = dict.fromkeys(spec_of(item.slice).name for item in report.slices)
        with ports.slices(results) as slices:
            sums = slices.sums(tuple(specs), sums_needed(metrics))
    documents = [shared_report(report, sums, sharing)]
    judged = ports.decision(report.run, decision)
    if judged is not None:
        documents.append(shared_decision(judged, ports.overrides(report), sharing))
    return tuple(documents)


def _embedded(header: RunHeader, rows: Sequence[Row], ports: PagePorts) -> EmbeddedAudio:
    """Return the clips a page may carry: consent granted, unchanged since the run, and bounded."""
    if header.suite.task == "tts":
        raise UsageError(
            "--with-audio shows recordings of the dataset; the clips of this run were synthesised",
            hint="leave out --with-audio",
        )
    dataset = ports.datasets.load(header.dataset.name, rev=header.suite.dataset.rev)
    if dataset.version.digest != header.dataset.digest:
        raise InvalidInput(
            f"the dataset {header.dataset.name} is not what the run was made on",
            hint="check out the run's revision, or leave out --with-audio",
        )
    utterances = {item.id: item for item in dataset.utterances}
    if header.suite.task == "turn":
        return _within_size(_recordings(header, utterances, ports), ports)
    first_of_each = {row.id: row for row in reversed(most_errors_first(rows))}
    return _within_size(
        (
            (row.id, _clip(row, utterances, dataset.root, header, ports))
            for row in reversed(first_of_each.values())
        ),
        ports,
    )


def _within_size(
    clips_or_reasons: Iterable[tuple[str, bytes | str]], ports: PagePorts
) -> EmbeddedAudio:
    """Return clips by id, as many as a page may carry, and why the others are left out."""
    clips: dict[str, bytes] = {}
    left_out: dict[str, int] = {}
    size = 0
    for name, clip in clips_or_reasons:
        if isinstance(clip, bytes) and size + len(clip) <= MOST_AUDIO_BYTES:
            clips[name] = clip
            size += len(clip)
            continue
        reason = clip if isinstance(clip, str) else "the page would become too large"
        left_out[reason] = left_out.get(reason, 0) + 1
    return EmbeddedAudio(media_type=ports.media_type, clips=clips, left_out=left_out)


def _recordings(
    header: RunHeader, utterances: Mapping[str, Utterance], ports: PagePorts
) -> Iterator[tuple[str, bytes | str]]:
    """Yield the recording of the first repeat of each conversation, or why there is none."""
    for outcome in ports.runs.read_outcomes(header.run):
        answer = None if outcome.prediction is None else outcome.prediction.outcome
        if outcome.repeat or not isinstance(answer, Answer):
            continue
        consent = utterances[outcome.id].consent
        if consent is not Consent.GRANTED:
            yield outcome.id, f"consent is {consent.value}, not granted"
            continue
        recording = None if answer.audio is None else ports.recording(header, answer.audio)
        yield outcome.id, recording or "no recording"


def _clip(
    row: Row, utterances: Mapping[str, Utterance], root: str, header: RunHeader, ports: PagePorts
) -> bytes | str:
    """Return a row's encoded clip, or in words why the page may not carry it."""
    utterance = utterances.get(row.id)
    if utterance is None or row.unusable is not None:
        return "no usable audio"
    if utterance.consent is not Consent.GRANTED:
        return f"consent is {utterance.consent.value}, not granted"
    clip = ports.audio.read(root, utterance.audio, max_s=header.suite.max_audio_s)
    if isinstance(clip, Unusable) or row.audio not in {None, clip.digest}:
        return "the audio has changed since the run"
    return ports.encode(clip)


SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that a GitHub runner shows as the summary of a step."""

COMMENT_VARIABLE = "RELKIT_GITHUB_COMMENT"
"""Names the file that the body of a pull request comment is written to; unset: none is."""


def publish(
    decision: GateDecision,
    environment: Mapping[str, str],
    *,
    junit: Path | None = None,
    github: bool = False,
    overrides: Sequence[Override] = (),
    sharing: Sharing | None = None,
) -> tuple[str, ...]:
    """Write what was asked for; return the lines to print to stderr, GitHub's annotations.

    With ``sharing`` nothing is written that may not leave the team.

    A runner reads workflow commands on stderr, too, so stdout stays free for ``--json``. With
    ``github`` the summary goes to the file of ``GITHUB_STEP_SUMMARY`` and a comment's body to that
    of ``RELKIT_GITHUB_COMMENT``, where they are set. Raises StorageFailed.
    """
    if sharing is not None:
        line = marker(decision.policy.name)
        shared = _shared(shared_decision(decision, overrides, sharing, marker=line))
        return _write(environment, shared, junit=junit, github=github)
    return _write(
        environment,
        _Published(
            junit=partial(decision_junit, decision, overrides),
            summary=partial(step_summary, decision, overrides),
            comment=partial(comment, decision, overrides),
            annotations=partial(annotations, decision, overrides),
        ),
        junit=junit,
        github=github,
    )


def publish_finding(
    finding: LiveFinding,
    environment: Mapping[str, str],
    *,
    junit: Path | None = None,
    github: bool = False,
    sharing: Sharing | None = None,
) -> tuple[str, ...]:
    """Write what was asked for of a look at live traffic, as :func:`publish` does."""
    if sharing is not None:
        shared = _shared(shared_finding(finding, sharing))
        return _write(environment, shared, junit=junit, github=github)
    page = partial(finding_summary, finding)
    published = _Published(
        junit=partial(finding_junit, finding),
        summary=page,
        comment=page,
        annotations=partial(finding_annotations, finding),
    )
    return _write(environment, published, junit=junit, github=github)


class _Summary(Protocol):
    def __call__(self, *, limit: int) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """What can be written about one record."""

    junit: Callable[[], bytes]
    summary: _Summary
    comment: Callable[[], str]
    annotations: Callable[[], tuple[str, ...]]


def _shared(document: SharedDocument) -> _Published:
    page = partial(shared_markdown, document)
    return _Published(
        junit=partial(shared_junit, document),
        summary=page,
        comment=partial(page, limit=COMMENT_BYTES),
        annotations=partial(shared_annotations, document),
    )


def _write(
    environment: Mapping[str, str], published: _Published, *, junit: Path | None, github: bool
) -> tuple[str, ...]:
    if junit is not None:
        storage.write_bytes(junit, published.junit())
    if not github:
        return ()
    if target := environment.get(SUMMARY_VARIABLE):
        # What another command of the step wrote there takes its room.
        path = Path(target)
        before = path.read_bytes() if path.is_file() else b""
        room = SUMMARY_BYTES - len(before) - 1
        page = published.summary(limit=room).encode("utf-8", "replace")
        if len(page) <= room:
            storage.write_bytes(path, before + (b"\n" if before else b"") + page)
    if target := environment.get(COMMENT_VARIABLE):
        storage.write_text(Path(target), published.comment())
    return published.annotations()
