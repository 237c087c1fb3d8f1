"""``release.json`` as it is written: the published schema of a release."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from relkit.domain.releases import Attested, Component, ReleaseKind
from relkit.domain.values import checked_time
from relkit.records.strict import Record

SCHEMA: Literal["relkit.release/v1"] = "relkit.release/v1"
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
VERSION_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
ModelName = Annotated[str, Field(pattern=MODEL_NAME)]
VersionName = Annotated[str, Field(pattern=VERSION_NAME)]

Time = Annotated[str, AfterValidator(checked_time)]

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def printable(text: str) -> str:
    """Return one line of text; raises ValueError for control characters and blanks around it."""
    if not text.isprintable() or text.strip() != text:
        raise ValueError("is not one plain line of text")
    return text


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("a language such as en or en-GB was expected")
    return text


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
Language = Annotated[str, AfterValidator(_language)]


class ArtifactRecord(Record):
    """What is served: files below a folder of the workspace, or a reference.

    ``digest`` is the SHA-256 of the sorted ``path, sha256`` lines of the files, of the one file, or
    what the reference names.
    """

    digest: Digest
    root: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    files: dict[Annotated[str, Field(min_length=1, max_length=1000)], Digest] = {}
    reference: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(printable)] | (
        None
    ) = None


class HostedRecord(Record):
    """A vendor's model, which has no artifact."""

    provider: Line
    model: Line
    configuration: Digest
    fingerprint: Digest | None = None


class InterfaceRecord(Record):
    """What has to fit beside it."""

    sample_rate_hz: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    languages: list[Language] = []
    label_schema: Line | None = None
    feature_schema: Line | None = None
    api_version: Line | None = None
    tokenizer: Line | None = None


class CostRecord(Record):
    """What one unit of serving costs."""

    amount: Annotated[float, Field(ge=0, le=1e9)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    per: Line


class LineageRecord(Record):
    """A dataset it was trained or evaluated on."""

    dataset: Line
    digest: Digest
    revision: Line | None = None
    use: Literal["evaluation", "training"] = "evaluation"


class OriginRecord(Record):
    """Where an imported release comes from."""

    registry: Line
    version: Line
    source: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(printable)] | (
        None
    ) = None
    run: Line | None = None


class ReleaseRecord(Record):
    """The whole of ``release.json``; ``kind`` is told by what there is where it is left out."""

    schema_: Literal["relkit.release/v1"] = Field(alias="schema")
    model: ModelName
    version: VersionName
    component: Component
    kind: ReleaseKind | None = None
    created: Time
    owner: Annotated[str, Field(max_length=200), AfterValidator(printable)] = ""
    licence: Annotated[str, Field(max_length=200), AfterValidator(printable)] = ""
    artifact: ArtifactRecord | None = None
    hosted: HostedRecord | None = None
    run: Line | None = None
    report: Digest | None = None
    decision: Digest | None = None
    lineage: list[LineageRecord] = []
    interface: InterfaceRecord = InterfaceRecord()
    requires: dict[ModelName, Line] = {}
    pins: dict[ModelName, VersionName] = {}
    worse_slices: list[Line] = []
    serving_cost: CostRecord | None = None
    runtime: Line | None = None
    attested: Attested = "none"
    origin: OriginRecord | None = None
