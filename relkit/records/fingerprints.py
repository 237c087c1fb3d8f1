"""How a vendor's model behaved on fixed probe clips, as a digest without any text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from relkit.records.digests import JsonValue, digest_of
from relkit.records.release_records import Digest, Line
from relkit.records.strict import Record, check, decode, parse_json

SCHEMA: Literal["relkit.probe/v1"] = "relkit.probe/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a model answered to probe clips.

    ``digest`` is the SHA-256 of the RFC 8785 form of dataset, normalizer and all normalized
    answers; two are comparable where ``dataset``, ``normalizer`` (digests) and ``clips``, the
    number of answers, are the same. ``configuration`` is the digest of the system's settings.
    """

    digest: str
    configuration: str
    dataset: str
    normalizer: str
    clips: int
    run: str


class _ProbeRecord(Record):
    schema_: Literal["relkit.probe/v1"] = Field(alias="schema")
    fingerprint: Digest
    configuration: Digest
    dataset: Digest
    normalizer: Digest
    clips: Annotated[int, Field(ge=1)]
    run: Line


def fingerprint_digest(
    answers: Iterable[tuple[str, int, str]], *, dataset: str, normalizer: str
) -> tuple[str, int]:
    """Return the digest of (id, repeat, normalized text) in any order, and how many there are."""
    listed: list[JsonValue] = [list(one) for one in sorted(answers)]
    document = {"dataset": dataset, "normalizer": normalizer, "answers": listed}
    return digest_of(document), len(listed)


def probe_document(found: Fingerprint) -> dict[str, JsonValue]:
    """Return what is kept beside a release: digests and a count."""
    return {
        "schema": SCHEMA,
        "fingerprint": found.digest,
        "configuration": found.configuration,
        "dataset": found.dataset,
        "normalizer": found.normalizer,
        "clips": found.clips,
        "run": found.run,
    }


def parse_probe(data: bytes, *, source: str) -> Fingerprint:
    """Return a fingerprint as it was kept; raises InvalidInput."""
    document = parse_json(decode(data, source=source), source=source)
    record = check(_ProbeRecord, document, source=source)
    return Fingerprint(
        digest=record.fingerprint,
        configuration=record.configuration,
        dataset=record.dataset,
        normalizer=record.normalizer,
        clips=record.clips,
        run=record.run,
    )
