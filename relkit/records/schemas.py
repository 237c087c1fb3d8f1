"""JSON Schemas of the files relkit reads and writes, so that editors can complete them."""

import json
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from relkit.domain.releases import Release, ReleaseEvent
from relkit.records.answers import AnswerRecord
from relkit.records.checks import CheckFileRecord
from relkit.records.codec import schema
from relkit.records.dataset_locks import LockRecord
from relkit.records.datasets import DatasetRecord, ManifestRow
from relkit.records.journal import JournalLine
from relkit.records.normalizers import NormalizerRecord
from relkit.records.policies import PolicyRecord
from relkit.records.reports import ReportRecord
from relkit.records.runs import RunRecord
from relkit.records.suites import SuiteRecord
from relkit.records.workspace import WorkspaceRecord

KINDS: Mapping[str, type] = {
    "answer": AnswerRecord,
    "check": CheckFileRecord,
    "dataset": DatasetRecord,
    "dataset-lock": LockRecord,
    "event": ReleaseEvent,
    "gate": PolicyRecord,
    "journal": JournalLine,
    "manifest": ManifestRow,
    "normalizer": NormalizerRecord,
    "release": Release,
    "report": ReportRecord,
    "run": RunRecord,
    "suite": SuiteRecord,
    "workspace": WorkspaceRecord,
}


def schemas() -> Iterator[tuple[str, str]]:
    """Yield (file name, JSON text) of every schema, as they stand in ``registry/schema``."""
    for kind, model in KINDS.items():
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **(
                model.model_json_schema(by_alias=True)
                if issubclass(model, BaseModel)
                else schema(model)
            ),
            "title": f"relkit {kind}",
        }
        yield f"{kind}.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"
