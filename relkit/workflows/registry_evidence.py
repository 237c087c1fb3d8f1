"""The evidence that is kept beside a release: reports and decisions, found by their digests."""

from collections.abc import Iterator
from contextlib import suppress

from relkit.domain.errors import InvalidInput
from relkit.records.digests import PREFIX, sha256_bytes
from relkit.records.envelopes import parse_envelope
from relkit.workflows.registry_ports import ReleaseFolder

REPORT = "report.json"
DECISION = "decision"
OVERRIDE = "override"
_SHOWN = 16


def evidence_name(kind: str, digest: str) -> str:
    """Return the name of a piece of evidence: ``decision-0123456789abcdef.json``."""
    return f"{kind}-{digest.removeprefix(PREFIX)[:_SHOWN]}.json"


def evidence_digests(releases: ReleaseFolder, model: str, version: str) -> frozenset[str]:
    """Return the digests of what lies beside a release: of bytes, and of signed statements."""
    return frozenset(_digests(releases, model, version))


def _digests(releases: ReleaseFolder, model: str, version: str) -> Iterator[str]:
    for name, data in releases.evidence(model, version):
        yield sha256_bytes(data)
        with suppress(InvalidInput):
            yield parse_envelope(data, source=name).digest
