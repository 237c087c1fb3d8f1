"""Builds what looking for abuse needs, and what importing results of other tools needs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.disclosure.names import SharedNames
    from relkit.incident.types import AbuseReport


def abuse(
    workspace: Workspace | None,
    paths: Iterable[str],
    *,
    policy: Path | None = None,
    since: str | None = None,
    until: str | None = None,
    mapping: Iterable[str] = (),
    now: str | None = None,
) -> "AbuseReport":
    """Look for abuse; see :func:`relkit.incident.abuse.abuse`. Raises UsageError for times."""
    import time

    from relkit.adapters.duckdb.incident import TurnTableIncidents
    from relkit.core import storage
    from relkit.core.codec import decode, encode
    from relkit.core.digests import digest_of
    from relkit.incident.abuse import AbuseOptions, AbusePorts
    from relkit.incident.abuse import abuse as look
    from relkit.incident.policies import parse_abuse_policy
    from relkit.incident.types import AbusePolicy
    from relkit.wiring.incident import triage_options
    from relkit.wiring.telemetry import open_turns

    asked = triage_options(paths, since=since, until=until, mapping=mapping, now=now)
    written = AbusePolicy()
    if policy is not None:
        text = decode(storage.read_bytes(policy, what=policy.name), source=policy.name)
        written = parse_abuse_policy(text, source=policy.name)
    return look(
        AbuseOptions(
            telemetry=asked.telemetry,
            policy=written,
            digest=digest_of(encode(written)),
            since=since,
            until=until,
        ),
        AbusePorts(
            turns=lambda telemetry: TurnTableIncidents(open_turns(telemetry)),
            names=_class_names(workspace),
            seconds=time.perf_counter,
        ),
    )


def _class_names(workspace: Workspace | None) -> "SharedNames":
    """Return what classes are called: the same names in every look of a workspace."""
    import secrets

    from relkit.adapters.secret_keys import ABUSE_KEY, secret_key
    from relkit.disclosure.names import IncidentPseudonyms, SharedNames, shared_values
    from relkit.wiring.incident import locked_values

    if workspace is None:
        return SharedNames({}, IncidentPseudonyms(key=secrets.token_bytes(32)))
    shared = shared_values(workspace.privacy.share, locked_values(workspace))
    key = secret_key(workspace.state / ABUSE_KEY, make=True)
    return SharedNames(shared, IncidentPseudonyms(key=key))
