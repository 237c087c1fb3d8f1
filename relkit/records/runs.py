"""``run.json``: what a run was asked to do, and the digests of what it wrote."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from relkit.domain.datasets import DatasetVersion
from relkit.domain.runs import Candidate, RunHeader, RunStatus
from relkit.records.digests import JsonValue
from relkit.records.reports import CandidateRecord, DatasetVersionRecord, NamedDigest
from relkit.records.strict import Record, check, parse_json
from relkit.records.suites import suite_document, suite_from_document

SCHEMA: Literal["relkit.run/v1"] = "relkit.run/v1"


class RunRecord(Record):
    """The whole of ``run.json``."""

    schema_: Literal["relkit.run/v1"] = Field(alias="schema")
    run: str
    status: RunStatus
    created: str
    finished: str | None
    source: str | None
    suite_digest: str
    suite: dict[str, Any]
    dataset: DatasetVersionRecord
    candidate: CandidateRecord
    normalizer: NamedDigest
    repeats: int
    load: dict[str, str | int | float | bool | None]
    load_digest: str
    versions: dict[str, str]
    outputs: dict[str, str]


def render_run(
    header: RunHeader, *, status: RunStatus, finished: str | None, outputs: Mapping[str, str]
) -> str:
    """Return ``run.json`` as text; ``outputs`` maps a file name to its digest."""
    version = header.dataset
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "run": header.run,
        "status": status,
        "created": header.created,
        "finished": finished,
        "source": header.source,
        "suite_digest": header.suite.digest,
        "suite": suite_document(header.suite),
        "dataset": {
            "name": version.name,
            "revision": version.revision,
            "dirty": version.dirty,
            "digest": version.digest,
            "utterances": version.utterances,
            "contract": version.contract,
        },
        "candidate": {"digest": header.candidate.digest, "artifact": header.candidate.artifact},
        "normalizer": {"name": header.normalizer, "digest": header.normalizer_digest},
        "repeats": header.repeats,
        "load": dict(header.load),
        "load_digest": header.load_digest,
        "versions": dict(header.versions),
        "outputs": dict(outputs),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_run(text: str, *, source: str) -> tuple[RunHeader, RunStatus, Mapping[str, str]]:
    """Return a run's header, its status and its output digests; raises InvalidInput."""
    record = check(RunRecord, parse_json(text, source=source), source=source)
    header = RunHeader(
        run=record.run,
        created=record.created,
        suite=suite_from_document(record.suite, digest=record.suite_digest, source=source),
        dataset=DatasetVersion(**record.dataset.model_dump()),
        candidate=Candidate(digest=record.candidate.digest, artifact=record.candidate.artifact),
        normalizer=record.normalizer.name,
        normalizer_digest=record.normalizer.digest,
        repeats=record.repeats,
        load=record.load,
        load_digest=record.load_digest,
        versions=record.versions,
        source=record.source,
    )
    return header, record.status, record.outputs
