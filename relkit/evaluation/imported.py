"""Results of another tool as a run: header, results and report, as if relkit had measured them.

A gate judges runs, so what garak, promptfoo or a detector's scores say becomes one. Nothing is
asked and no text is kept. What the tool did not judge is unusable, which lowers the coverage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.ports import Clock
from relkit.core.slices import OVERALL, SliceSpec
from relkit.core.values import ErrorCounts, Named, SystemId, moment, time_text
from relkit.datasets.types import DatasetVersion, Unusable, UnusableReason
from relkit.evaluation.conclude import Aggregators, slice_results
from relkit.evaluation.evaluate import EvalResult, Normalizers, finish
from relkit.evaluation.ports import ReportRenderer, RunStore, RunTracker
from relkit.evaluation.suites import suite_digest
from relkit.evaluation.types import (
    EvalReport,
    Hallucinations,
    Outcome,
    Result,
    Runaways,
    RunHeader,
    Suite,
)
from relkit.safety.imported import ImportedAnswer, ImportedResults, unjudged_note
from relkit.scoring.types import ScoredText, Texts

TOOL_METRICS: Mapping[str, tuple[str, ...]] = {
    "garak": ("injection_success_rate",),
    "promptfoo": ("injection_success_rate",),
    "voices": ("voice_consent_rate",),
    "scores": ("impersonation_eer", "min_dcf"),
}
"""The metrics that results of each tool can be about."""

_AHEAD_S = 14 * 3600  # a local time without an offset can be that far ahead of UTC
_NOTHING = ScoredText(counts=ErrorCounts(), raw=ErrorCounts(), characters=ErrorCounts())
_NO_TEXT = Texts(reference="", hypothesis=None, reference_normalized="", hypothesis_normalized=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRunPorts:
    """What importing needs: runs, an aggregator of results, a clock, the versions here."""

    normalizers: Normalizers
    runs: RunStore
    aggregators: Aggregators
    clock: Clock
    versions: Mapping[str, str]
    renderer: ReportRenderer
    tracker: RunTracker | None = None


def check_measured(suite: Suite, tool: str) -> None:
    """Refuse a suite that asks for what the tool does not say; raises UsageError."""
    measured = TOOL_METRICS[tool]
    if others := [name for name in suite.metrics if name not in measured]:
        raise UsageError(
            f"the suite {suite.name} measures {others[0]}, of which results of {tool} say nothing",
            hint=f"name a suite whose metrics are: {', '.join(measured)}",
        )


def import_run(
    results: ImportedResults, suite: Suite, ports: ImportedRunPorts, *, artifact: str
) -> EvalResult:
    """Write results as a finished run of a suite and return its report.

    ``artifact`` is the digest of the file they come from. The dataset is what was asked, so that
    two imports compare only where they asked the same; the scorer is the tool with its version and
    threshold. The run is as old as the tool says. Raises UsageError for a suite that measures
    something else, InvalidInput for one that is cut by what the results do not have.
    """
    check_measured(suite, results.tool)
    _check_slices(suite, results)
    now = ports.clock.now()
    normalizer = ports.normalizers.read(suite.normalizer)
    candidate = SystemId(
        digest=digest_of({"tool": results.tool, "target": results.target, "results": artifact}),
        artifact=artifact,
    )
    header = RunHeader(
        run=ports.runs.new_id(now),
        created=_created(results.created, now),
        suite_digest=suite_digest(suite),
        suite=suite,
        dataset=DatasetVersion(
            name=f"{results.tool}-prompts" if results.cluster == "prompt" else results.tool,
            revision=None,
            dirty=None,
            digest=results.digest,
            utterances=len(results.prompts),
        ),
        candidate=candidate,
        normalizer=Named(name=normalizer.name, digest=normalizer.digest),
        repeats=1,
        load={},
        load_digest=digest_of({}),
        versions=ports.versions,
    )
    rows = [_row(answer) for answer in results.answers]
    outcomes = [_outcome(answer) for answer in results.answers]
    with ports.runs.create(header) as run:
        run.log(now, "imported", tool=results.tool)
        path = run.write_results(rows, outcomes)
        with ports.aggregators(path) as aggregator:
            slices = slice_results(aggregator, suite.metrics, suite.slices, repeats=1)
        unjudged = sum(results.unjudged.values())
        report = EvalReport(
            run=header.run,
            created=header.created,
            tool_version=header.versions.get("relkit", ""),
            suite=Named(name=suite.name, digest=header.suite_digest),
            candidate=candidate,
            dataset=header.dataset,
            normalizer=header.normalizer,
            scorer=results.scorer,
            load=header.load_digest,
            repeats=1,
            expected=len(rows),
            scored=len(rows) - unjudged,
            failures=0,
            unusable=unjudged,
            unusable_reasons={"not_judged": unjudged} if unjudged else {},
            slices=slices,
            masking=(),
            runaways=Runaways(count=0, loops=0),
            hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
            notes=(*unjudged_note(results), *results.notes),
            cluster=results.cluster,
        )
        return finish(run, report, ports)


def _check_slices(suite: Suite, results: ImportedResults) -> None:
    for name in suite.slices:
        for column in SliceSpec.parse(name).columns if name != OVERALL else ():
            if column not in results.columns:
                raise InvalidInput(
                    f'the suite {suite.name} is cut by "{column}", which these results do not have',
                    hint=f"columns: {', '.join(results.columns) or 'none'}",
                )


def _created(said: str | None, now: str) -> str:
    """Return when the tool measured, now where it does not say; raises InvalidInput.

    A time without an offset is some zone's: taken for UTC it may seem to be ahead by hours, and is
    never later than now.
    """
    if said is None:
        return now
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise InvalidInput(
            "the results have a time that is none", hint="export them anew"
        ) from error
    local = at.tzinfo is None
    at = at.replace(tzinfo=UTC) if local else at.astimezone(UTC)
    ahead = (at - moment(now)).total_seconds()
    if ahead > (_AHEAD_S if local else 60):
        raise InvalidInput(
            "the results are of the future", hint="set the clock of this machine, or of the other"
        )
    return min(time_text(at.replace(microsecond=0)), now)


def _row(answer: ImportedAnswer) -> Result:
    judged = not answer.unjudged
    return Result(
        id=answer.id,
        repeat=0,
        cluster=answer.cluster,
        slices=answer.slices,
        duration=None,
        score=_NOTHING if judged else None,
        texts=_NO_TEXT,
        unusable=None if judged else UnusableReason.NOT_JUDGED.value,
        trial=answer.trial,
        safety=answer.counts,
    )


def _outcome(answer: ImportedAnswer) -> Outcome:
    unusable = Unusable(reason=UnusableReason.NOT_JUDGED) if answer.unjudged else None
    return Outcome(id=answer.id, repeat=0, unusable=unusable)
