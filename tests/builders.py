"""Small real values to test with: every field can be given, the rest is sensible."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import strategies as st

from relkit.core.codec import parse
from relkit.core.values import ErrorCounts, Estimate, Named, SystemId
from relkit.datasets.types import (
    Answer,
    AnswerClock,
    AnswerEvent,
    AudioSpan,
    Bins,
    Dataset,
    DatasetSettings,
    DatasetVersion,
    Entity,
    Failure,
    FailureReason,
    Prediction,
    Unusable,
    UnusableReason,
    Utterance,
)
from relkit.evaluation.suites import parse_suite, suite_digest
from relkit.evaluation.types import (
    EvalReport,
    Hallucinations,
    Outcome,
    Result,
    Runaways,
    RunHeader,
    SliceResult,
    Suite,
)
from relkit.scoring.types import MaskingStep, ScoredText, Texts

T = TypeVar("T")

DIGEST = "sha256:" + "0" * 64

SUITE = """\
schema: relkit.suite/v1
name: small
dataset: {name: words, where: {accent: [plain, broad]}}
normalizer: english
metrics: [wer, latency_ms]
slices: [accent, "noise&accent"]
system: {kind: recorded, path: answers.jsonl}
"""

MINIMAL_SUITE = """\
schema: relkit.suite/v1
name: small
dataset: {name: words}
system: {kind: recorded, path: answers.jsonl}
"""


def system(kind: type[T], **options: object) -> T:
    """Return a system as a suite's ``system`` would say it; raises InvalidInput."""
    name = next(item.default for item in fields(cast("Any", kind)) if item.name == "kind")
    return parse(kind, {"kind": name, **options}, source="system")


def suite(text: str = SUITE, *, system: Sequence[str] = ()) -> Suite:
    """Return a suite from its YAML."""
    return parse_suite(text, source="small.yaml", system=system)


def utterance(name: str = "u1", **fields: Any) -> Utterance:  # noqa: ANN401  # any field of the type
    """Return an utterance, plain and short unless said otherwise."""
    given: dict[str, Any] = {
        "audio": AudioSpan(path=f"/data/{name}.wav"),
        "reference": "hello there",
        "attributes": {"accent": "plain"},
        "entities": (Entity(text="hello", type="greeting"),),
    }
    return Utterance(id=name, **(given | fields))


def version(**fields: Any) -> DatasetVersion:  # noqa: ANN401  # any field of the type
    """Return a dataset's version."""
    given: dict[str, Any] = {
        "name": "words",
        "revision": "1" * 40,
        "dirty": False,
        "digest": DIGEST,
        "utterances": 2,
    }
    return DatasetVersion(**(given | fields))


def dataset(
    utterances: Sequence[Utterance], *, slices: tuple[str, ...] = (), bins: tuple[Bins, ...] = ()
) -> Dataset:
    """Return a dataset that holds these utterances, with ``speaker`` as its clusters."""
    return Dataset(
        version=version(utterances=len(utterances)),
        root="/data",
        settings=DatasetSettings(name="words", slices=slices, bins=bins),
        utterances=tuple(utterances),
    )


def header(run: str = "20260131T120000Z-00000a", **fields: Any) -> RunHeader:  # noqa: ANN401  # any field
    """Return what a run was asked to do."""
    given: dict[str, Any] = {
        "created": "2026-01-31T12:00:00Z",
        "suite_digest": suite_digest(suite()),
        "suite": suite(),
        "dataset": version(),
        "candidate": SystemId(digest=DIGEST, artifact=None),
        "normalizer": Named(name="english", digest=DIGEST),
        "repeats": 1,
        "load": {"cores": 2, "gpu": None, "share": 0.5, "warm": True, "cpu": "some cpu"},
        "load_digest": DIGEST,
        "versions": {"relkit": "0.1.0"},
    }
    return RunHeader(run=run, **(given | fields))


FULL_ANSWER = Answer(
    text="hello where",
    latency_ms=12.5,
    first_byte_ms=3.25,
    clock="system",
    events=(AnswerEvent(t_ms=1.5, kind="partial", text="hel"), AnswerEvent(t_ms=2, kind="end")),
    usage={"input_tokens": 7.0},
    tool_calls=({"name": "call", "arguments": {"n": 1}},),
    audio="out.wav",
)
"""An answer with every part of the protocol."""


def outcome(
    name: str = "u1", said: Answer | Failure | Unusable = FULL_ANSWER, *, repeat: int = 0
) -> Outcome:
    """Return what became of an item: an answer, a failure, or nothing to ask about."""
    if isinstance(said, Unusable):
        return Outcome(id=name, repeat=repeat, unusable=said)
    prediction = Prediction(id=name, repeat=repeat, outcome=said, attempts=2, load=DIGEST)
    return Outcome(id=name, repeat=repeat, prediction=prediction, audio=DIGEST, duration=1.25)


def counts(hits: int = 0, subs: int = 0, dels: int = 0, ins: int = 0) -> ErrorCounts:
    """Return error counts in the usual order."""
    return ErrorCounts(hits=hits, substitutions=subs, deletions=dels, insertions=ins)


def scored(words: ErrorCounts, *, loop: bool = False) -> ScoredText:
    """Return a score with these word counts throughout."""
    return ScoredText(counts=words, raw=words, characters=words, loop=loop)


def result(
    name: str = "u1",
    words: ErrorCounts | None = None,
    *,
    loop: bool = False,
    **fields: Any,  # noqa: ANN401  # any field of the type
) -> Result:
    """Return a result row; without counts it is one hit and one substitution."""
    given: dict[str, Any] = {
        "repeat": 0,
        "cluster": "s1",
        "slices": {"accent": "plain"},
        "duration": 1.25,
        "score": scored(counts(1, 1) if words is None else words, loop=loop),
        "texts": Texts(
            reference="Hello there!",
            hypothesis="hello where",
            reference_normalized="hello there",
            hypothesis_normalized="hello where",
        ),
        "latency_ms": 12.5,
        "first_byte_ms": 3.25,
        "attempts": 2,
        "load": DIGEST,
    }
    return Result(id=name, **(given | fields))


def result_of(item: Outcome) -> Result:
    """Return the row that belongs to an outcome."""
    prediction = item.prediction
    said = None if prediction is None else prediction.outcome
    answer = said if isinstance(said, Answer) else None
    return result(
        item.id,
        repeat=item.repeat,
        duration=item.duration,
        score=None if item.unusable else scored(counts(1, 1)),
        failure=said.reason.value if isinstance(said, Failure) else None,
        unusable=item.unusable.reason.value if item.unusable else None,
        latency_ms=answer.latency_ms if answer else None,
        first_byte_ms=answer.first_byte_ms if answer else None,
        attempts=prediction.attempts if prediction else 0,
        cached=prediction.cached if prediction else False,
        load=prediction.load if prediction else "",
    )


def estimate(value: float | None = 0.25, **fields: Any) -> Estimate:  # noqa: ANN401  # any field of the type
    """Return an estimate with an interval around its value."""
    given: dict[str, Any] = {"n": 8, "clusters": 5, "method": "jackknife"}
    if value is not None:
        given |= {"low": value / 2, "high": value * 2}
    return Estimate(value=value, **(given | fields))


def slice_result(
    name: str,
    metrics: Mapping[str, Estimate] | None = None,
    **fields: Any,  # noqa: ANN401  # any field
) -> SliceResult:
    """Return one slice of a report."""
    given: dict[str, Any] = {
        "utterances": 2,
        "clusters": 1,
        "failures": 0,
        "counts": counts(6, 1, 1, 0),
        "metrics": {"wer": estimate()} if metrics is None else metrics,
    }
    return SliceResult(slice=name, **(given | fields))


def report(*slices: SliceResult, **fields: Any) -> EvalReport:  # noqa: ANN401  # any field of the type
    """Return a report on these slices; without any, on ``overall`` and one accent."""
    given: dict[str, Any] = {
        "run": "20260131T120000Z-00000a",
        "suite": Named(name="small", digest=DIGEST),
        "candidate": SystemId(digest=DIGEST, artifact=None),
        "dataset": version(),
        "normalizer": Named(name="english", digest=DIGEST),
        "scorer": "relkit-words/1",
        "tool_version": "0.1.0",
        "created": "2026-01-31T12:00:00Z",
        "expected": 3,
        "scored": 2,
        "failures": 1,
        "unusable": 1,
        "repeats": 1,
        "load": DIGEST,
        "masking": (MaskingStep(step="lowercase", errors_before=3, errors_after=2),),
        "runaways": Runaways(count=0, loops=0, hidden_rate=0.125, hidden_wer=2.5),
        "hallucinations": Hallucinations(clips=1, with_words=1, words=3, words_per_minute=60.0),
        "failure_reasons": {"timeout": 1},
        "unusable_reasons": {"missing": 1},
        "notes": ("1 answers came from the cache",),
    }
    found = slices or (slice_result("overall"), slice_result("accent=plain"))
    return EvalReport(slices=found, **(given | fields))


def write_dataset(
    folder: Path, rows: Sequence[Mapping[str, Any]], settings: str = "", *, audio: bool = True
) -> Path:
    """Write a dataset folder (its name is the dataset's) and return it.

    Each row gets its audio file, whose bytes are its path, unless ``audio`` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = f"name: {folder.name}\ncluster: speaker\n{settings}"
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    for row in rows if audio else ():
        path = folder / row["audio_filepath"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(row["audio_filepath"]).encode())
    return folder


def row(path: str = "audio/a.wav", **columns: object) -> dict[str, Any]:
    """Return a manifest row."""
    return {"audio_filepath": path, "text": "hello there", "speaker": "s1"} | columns


def git(folder: Path, *arguments: str) -> str:
    """Run git with nobody's settings and return what it printed."""
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return done.stdout.strip()


@contextmanager
def tiny_disk(folder: Path, *, kibibytes: int) -> Iterator[Path]:
    """Mount a real file system of this size; skips the test where that is not allowed."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(options, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here (needs Linux and root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def commit_all(folder: Path, message: str = "change") -> str:
    """Commit everything in a repository and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.floats(min_value=0, max_value=1e9)
_CLOCKS: st.SearchStrategy[AnswerClock] = st.sampled_from(["system", "harness"])
_CALLS = st.dictionaries(NAMES, TEXT | NUMBERS | st.none(), max_size=2)
ANSWERS = st.builds(
    Answer,
    text=TEXT,
    latency_ms=st.none() | TIMES,
    first_byte_ms=st.none() | TIMES,
    clock=_CLOCKS,
    events=st.lists(
        st.builds(AnswerEvent, t_ms=TIMES, kind=NAMES, text=st.none() | TEXT), max_size=2
    ).map(tuple),
    usage=st.dictionaries(NAMES, NUMBERS, max_size=2),
    tool_calls=st.lists(_CALLS, max_size=2).map(tuple),
    audio=st.none() | NAMES,
)
_FAILURES = st.builds(Failure, reason=st.sampled_from(FailureReason), detail=TEXT)
_UNUSABLE = st.builds(Unusable, reason=st.sampled_from(UnusableReason), detail=TEXT)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    """Return any outcome that a run can have."""
    name, repeat = draw(NAMES), draw(st.integers(0, 3))
    if draw(st.booleans()):
        return Outcome(id=name, repeat=repeat, unusable=draw(_UNUSABLE))
    prediction = Prediction(
        id=name,
        repeat=repeat,
        outcome=draw(ANSWERS | _FAILURES),
        attempts=draw(st.integers(0, 9)),
        cached=draw(st.booleans()),
        load=draw(st.sampled_from(["", DIGEST])),
    )
    return Outcome(
        id=name,
        repeat=repeat,
        prediction=prediction,
        audio=draw(st.none() | st.just(DIGEST)),
        duration=draw(st.none() | TIMES),
    )


def empty_report() -> EvalReport:
    """Return a report of a run without any clip."""
    return report(
        slice_result("overall", {}, counts=counts()),
        expected=0,
        scored=0,
        masking=(),
        runaways=Runaways(count=0, loops=0),
        hallucinations=Hallucinations(clips=0, with_words=0, words=0, words_per_minute=None),
        failure_reasons={},
        unusable_reasons={},
        notes=(),
    )


def dvc(folder: Path, *arguments: str) -> None:
    """Run DVC as a user would, without its telephone calls."""
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"],
        cwd=folder,
        check=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1", "CI": "1"},
    )
