"""Builds what looking for abuse needs, and what importing results of other tools needs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace

if TYPE_CHECKING:
    from relkit.disclosure.names import SharedNames
    from relkit.evaluation.evaluate import EvalResult
    from relkit.incident.types import AbuseReport
    from relkit.monitoring.consent import ConsentReport


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


def import_results(
    workspace: Workspace, tool: str, path: Path, *, suite: str, key: Path | None = None
) -> "EvalResult":
    """Write the results of another tool as a run; see :mod:`relkit.evaluation.imported`.

    ``tool`` is ``garak``, ``promptfoo``, ``scores`` or ``voices``; ``key`` is the key file of
    scores. Raises UsageError, InvalidInput, NoData.
    """
    from relkit.adapters.duckdb.results import DuckDBSlices
    from relkit.adapters.workspace import SystemClock, versions
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.core.digests import sha256_bytes
    from relkit.evaluation.imported import ImportedRunPorts, check_measured, import_run
    from relkit.safety.garak_files import parse_garak
    from relkit.safety.promptfoo_files import parse_promptfoo
    from relkit.safety.score_files import parse_keys, parse_scores
    from relkit.safety.scores import imported_scores, labelled
    from relkit.safety.voice_files import parse_voices
    from relkit.safety.voices import imported_voices
    from relkit.statistics.types import DetectionCost
    from relkit.wiring.evaluation import renderer, tracker
    from relkit.wiring.stores import normalizer_files, run_folders, suite_files

    suites = suite_files(workspace)
    asked = suites.read(suite)
    check_measured(asked, tool)
    data = storage.read_bytes(path, what=path.name)
    text = decode(data, source=path.name)
    if tool == "garak":
        results = parse_garak(text, source=path.name)
    elif tool == "promptfoo":
        results = parse_promptfoo(text, source=path.name)
    elif tool == "voices":
        listed, _ = parse_voices(text, source=path.name)
        results = imported_voices(listed, SystemClock().now()[:10])
    else:
        keys = None
        if key is not None:
            written = decode(storage.read_bytes(key, what=key.name), source=key.name)
            keys = parse_keys(written, source=key.name)
        trials = labelled(
            parse_scores(text, source=path.name),
            keys,
            source=path.name,
            key_source="the key" if key is None else key.name,
        )
        results = imported_scores(trials, asked.detection_cost or DetectionCost())
    ports = ImportedRunPorts(
        normalizers=normalizer_files(workspace),
        runs=run_folders(workspace),
        aggregators=DuckDBSlices,
        clock=SystemClock(),
        versions=versions(),
        renderer=renderer(),
        tracker=tracker(workspace),
    )
    return import_run(results, asked, ports, artifact=sha256_bytes(data))


def consent(path: Path, *, now: str) -> "tuple[ConsentReport, str]":
    """Return what a list of voices says as of a time, and the digest of the list.

    Raises InvalidInput.
    """
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.core.digests import sha256_bytes
    from relkit.monitoring.consent import consent_report
    from relkit.safety.voice_files import parse_voices

    data = storage.read_bytes(path, what=path.name)
    listed, lines = parse_voices(decode(data, source=path.name), source=path.name)
    return consent_report(listed, lines, as_of=now), sha256_bytes(data)
