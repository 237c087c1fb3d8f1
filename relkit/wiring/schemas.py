"""JSON Schemas of the files relkit reads and writes, so that editors can complete them."""

import json
from collections.abc import Iterator, Mapping

from relkit.canary.types import WrittenCanaryPolicy
from relkit.core.codec import schema
from relkit.core.config import WorkspaceFile
from relkit.datasets.files import ManifestRow
from relkit.datasets.types import DatasetLock, DatasetSettings
from relkit.disclosure.types import Packet
from relkit.documents.runbook_types import DegradationPlan
from relkit.documents.types import CardText
from relkit.evaluation.run_files import AnswerLine, JournalLine
from relkit.evaluation.types import EvalReport, RunHeader, Suite
from relkit.gate.types import WrittenCheck, WrittenPolicy
from relkit.incident.drills.types import Drill
from relkit.incident.types import AbusePolicy
from relkit.monitoring.cost.types import CostPolicy, PriceTable
from relkit.monitoring.drift.types import DriftPolicy, DriftProfile
from relkit.monitoring.serving.types import CapacityPolicy, HealthPolicy
from relkit.monitoring.slo.types import SloPolicy
from relkit.registry.types import Release, ReleaseEvent
from relkit.safety.types import ToolTable
from relkit.safety.voices import VoiceList
from relkit.scoring.normalizers import NormalizerFile

KINDS: Mapping[str, type] = {
    "abuse": AbusePolicy,
    "answer": AnswerLine,
    "canary": WrittenCanaryPolicy,
    "capacity": CapacityPolicy,
    "card": CardText,
    "check": WrittenCheck,
    "cost": CostPolicy,
    "dataset": DatasetSettings,
    "dataset-lock": DatasetLock,
    "degradation": DegradationPlan,
    "drill": Drill,
    "drift": DriftPolicy,
    "event": ReleaseEvent,
    "gate": WrittenPolicy,
    "health": HealthPolicy,
    "journal": JournalLine,
    "manifest": ManifestRow,
    "normalizer": NormalizerFile,
    "packet": Packet,
    "prices": PriceTable,
    "profile": DriftProfile,
    "release": Release,
    "report": EvalReport,
    "run": RunHeader,
    "slo": SloPolicy,
    "suite": Suite,
    "tools": ToolTable,
    "voices": VoiceList,
    "workspace": WorkspaceFile,
}


def schemas() -> Iterator[tuple[str, str]]:
    """Yield (file name, JSON text) of every schema, as they stand in ``registry/schema``."""
    for name, kind in KINDS.items():
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema(kind),
            "title": f"relkit {name}",
        }
        yield f"{name}.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"
