"""What goes onto a page: baselines that measure the same, audio that may be shared."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.duckdb.results import DuckDBSlices
from relkit.comparison.compare import CompareOptions
from relkit.comparison.types import CompareReport, Row
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.values import Named
from relkit.datasets.types import AudioSpan, Clip, Consent, Dataset, Unusable, UnusableReason
from relkit.evaluation.ports import OpenRun
from relkit.evaluation.types import EvalReport, Outcome, RunHeader, Task, check_same_measure
from relkit.report import run as workflow
from relkit.report.run import PagePorts, ReportOptions, report_page
from relkit.wiring.stores import normalizer_files
from tests.builders import counts, dataset, header, report, suite, utterance

OTHER = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("dataset", {"dataset": replace(report().dataset, digest=OTHER)}),
        ("suite", {"suite": Named(name="small", digest=OTHER)}),
        ("normalizer", {"normalizer": Named(name="english", digest=OTHER)}),
        ("scorer", {"scorer": "relkit-text/2"}),
        ("limit", {"limit": 5}),
    ],
)
def test_a_baseline_of_another_measure_is_refused(what: str, fields: dict[str, Any]) -> None:
    """Numbers that measure different things do not stand side by side."""
    with pytest.raises(InvalidInput, match=f"have another {what}"):
        check_same_measure(report(), report(run="older", **fields))


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        (
            {"dataset": replace(report().dataset, name="calls", digest=OTHER)},
            "calls and words hold other utterances: run both systems by one suite",
        ),
        (
            {"dataset": replace(report().dataset, digest=OTHER), "created": "2020-01-01T00:00:00Z"},
            "relkit rescore older scores its answers by today's references",
        ),
        (
            {"dataset": replace(report().dataset, digest=OTHER), "created": "2030-01-01T00:00:00Z"},
            f"relkit rescore {report().run} scores its answers",
        ),
        ({"suite": Named(name="x", digest=OTHER)}, "relkit rescore older --suite small"),
        ({"normalizer": Named(name="x", digest=OTHER)}, "rescore older --normalizer english"),
        (
            {
                "suite": replace(report().suite, digest=OTHER),
                "normalizer": Named(name="x", digest=OTHER),
            },
            "relkit rescore older --normalizer english",
        ),
        ({"limit": 5}, "run the whole suite for both: relkit eval small"),
    ],
)
def test_runs_that_do_not_compare_get_a_hint_that_can_help(
    fields: dict[str, Any], hint: str
) -> None:
    """Scoring again cannot make two datasets one; what can is named, with its option."""
    with pytest.raises(InvalidInput) as caught:
        check_same_measure(report(), report(run="older", **fields))
    assert hint in str(caught.value.hint)


def test_a_run_is_not_its_own_baseline() -> None:
    """The same run on both sides shows nothing."""
    with pytest.raises(UsageError, match="the same run"):
        check_same_measure(report(), report())
    check_same_measure(report(), report(run="older"))


@dataclass
class OneRun:
    """Implements RunStore for reading: one finished run."""

    found: EvalReport = field(default_factory=report)
    task: Task = "asr"

    def read_report(self, run: str) -> EvalReport:
        """Return the report."""
        assert run
        return self.found

    def read_header(self, run: str) -> RunHeader:
        """Return the header of the builders."""
        assert run
        return header(suite=replace(suite(), task=self.task), status="finished")

    def new_id(self, now: str) -> str:
        """Refuse: a page makes no run."""
        raise AssertionError(now)

    def create(self, header: RunHeader) -> AbstractContextManager[OpenRun]:
        """Refuse: a page makes no run."""
        raise AssertionError(header)

    def resume(self, run: str) -> AbstractContextManager[OpenRun]:
        """Refuse: a page resumes no run."""
        raise AssertionError(run)

    def read_outcomes(self, run: str) -> list[Outcome]:
        """Refuse: a page reads rows, not whole answers."""
        raise AssertionError(run)

    def results(self, run: str) -> Path | None:
        """Refuse: a page reads rows, not sums."""
        raise AssertionError(run)


@dataclass
class OneDataset:
    """Implements DatasetStore: one dataset."""

    found: Dataset

    def load(self, name: str, *, rev: str | None) -> Dataset:
        """Return it."""
        assert (name, rev) == ("words", None)
        return self.found


class NamedClips:
    """Implements AudioReader: a clip's samples and digest are its path; ``broken`` is not read."""

    def read(self, root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:
        """Return the clip."""
        assert root == "/data"
        assert max_s > 0
        if span.path == "broken":
            return Unusable(reason=UnusableReason.UNREADABLE, detail="")
        return Clip(
            samples=span.path.encode(), sample_rate=8000, digest=span.path, path="", whole=True
        )


ROWS = (
    Row(id="best", counts=counts(9), audio="best"),
    Row(id="worst", counts=counts(0, 9), audio="worst"),
    Row(id="worst", counts=counts(0, 1), audio="worst", repeat=1),
    Row(id="unknown", counts=counts(1), audio="unknown"),
    Row(id="revoked", counts=counts(1), audio="revoked"),
    Row(id="replaced", counts=counts(1), audio="another digest"),
    Row(id="recorded", counts=counts(1)),
    Row(id="broken", counts=counts(1)),
    Row(id="unusable", unusable="empty"),
)
CONSENT = {"unknown": Consent.UNKNOWN, "revoked": Consent.REVOKED}


def _not_comparable(_options: CompareOptions) -> CompareReport:
    """Refuse, as for a run of which only the report is left."""
    raise InvalidInput("run: has no results.parquet")


def ports(*, asked: list[tuple[bool, bool]] | None = None, digest: str | None = None) -> PagePorts:
    """Return ports on one run whose dataset has an utterance per row."""
    names = {row.id for row in ROWS}
    found = dataset(
        [
            utterance(name, audio=AudioSpan(path=name), consent=CONSENT.get(name, Consent.GRANTED))
            for name in sorted(names)
        ]
    )
    if digest is not None:
        found = replace(found, version=replace(found.version, digest=digest))

    def rows(run: str, *, with_text: bool, with_audio: bool) -> tuple[Row, ...]:
        assert run
        if asked is not None:
            asked.append((with_text, with_audio))
        return ROWS

    return PagePorts(
        runs=OneRun(),
        rows=rows,
        datasets=OneDataset(found),
        audio=NamedClips(),
        encode=lambda clip: clip.samples,
        media_type="audio/flac",
        decision=lambda _run, _path: None,
        overrides=lambda _report: (),
        compare=_not_comparable,
        slices=DuckDBSlices,
        normalizers=normalizer_files(None),
    )


def test_nothing_private_is_asked_for_unless_the_user_did() -> None:
    """Without flags neither texts nor audio are read, and the page carries neither."""
    asked: list[tuple[bool, bool]] = []
    page = report_page(ReportOptions(run="run"), ports(asked=asked, digest=OTHER))
    assert asked == [(False, False)]
    assert (page.with_text, page.audio, page.baseline) == (False, None, None)
    report_page(ReportOptions(run="run", with_text=True, with_audio=True), ports(asked=asked))
    assert asked[1] == (True, True)


def test_only_audio_with_consent_that_has_not_changed_is_embedded() -> None:
    """Every clip that is left out is counted under its reason; a repeat is no second clip."""
    page = report_page(ReportOptions(run="run", with_audio=True), ports())
    assert page.audio is not None
    assert page.audio.clips == {"best": b"best", "worst": b"worst", "recorded": b"recorded"}
    assert page.audio.left_out == {
        "consent is revoked, not granted": 1,
        "consent is unknown, not granted": 1,
        "the audio has changed since the run": 2,
        "no usable audio": 1,
    }


def test_the_page_keeps_the_worst_clips_when_it_would_grow_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clips with the most errors come first, the rest is counted."""
    monkeypatch.setattr(workflow, "MOST_AUDIO_BYTES", 6)
    page = report_page(ReportOptions(run="run", with_audio=True), ports())
    assert page.audio is not None
    assert page.audio.clips == {"worst": b"worst"}
    assert page.audio.left_out["the page would become too large"] == 2


def test_audio_of_a_run_that_spoke_is_refused() -> None:
    """Its clips are not those of the dataset, which would be shown in their place."""
    spoke = replace(ports(), runs=OneRun(task="tts"))
    with pytest.raises(UsageError, match="synthesised"):
        report_page(ReportOptions(run="run", with_audio=True), spoke)
    assert report_page(ReportOptions(run="run"), spoke).audio is None


def test_audio_of_a_dataset_that_has_changed_is_refused() -> None:
    """What is played must be what was measured."""
    with pytest.raises(InvalidInput, match="not what the run was made on"):
        report_page(ReportOptions(run="run", with_audio=True), ports(digest=OTHER))
