"""Builds what watches live traffic needs: policies, telemetry, price tables, a clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.core.config import Workspace
from relkit.core.errors import UsageError
from relkit.wiring.stores import monitor_files
from relkit.wiring.telemetry import as_of

if TYPE_CHECKING:
    from relkit.adapters.duckdb.serving import TurnTableTraffic
    from relkit.adapters.prometheus import PrometheusServer
    from relkit.monitoring.cost.types import (
        CostOptions,
        CostReport,
        ImportedPrices,
        MapFormat,
        PriceTable,
    )
    from relkit.monitoring.drift.run import DriftOptions, ProfileOptions
    from relkit.monitoring.drift.types import DriftProfile, DriftReport
    from relkit.monitoring.serving.ports import LiveTraffic
    from relkit.monitoring.serving.types import CapacityReport, HealthReport
    from relkit.monitoring.slo.ports import ServiceLevels
    from relkit.monitoring.slo.types import SloExport, SloReport
    from relkit.monitoring.types import LiveFinding


def _turn_traffic(paths: tuple[str, ...]) -> "TurnTableTraffic":
    from relkit.adapters.duckdb.serving import TurnTableTraffic
    from relkit.wiring.telemetry import open_turns

    return TurnTableTraffic(paths, open_turns)


def check_health(
    workspace: Workspace,
    name: str,
    paths: tuple[str, ...],
    *,
    prometheus: str | None,
    now: str | None,
) -> "HealthReport":
    """Judge how a service bears its load; see :mod:`relkit.monitoring.serving.run`."""
    from relkit.monitoring.serving.files import parse_health_policy
    from relkit.monitoring.serving.run import check_health as check

    policy = monitor_files(workspace).read(name, parse_health_policy)
    traffic: LiveTraffic = _turn_traffic(paths)
    if prometheus is not None:
        from relkit.monitoring.serving.scraped import ScrapedTraffic

        traffic = ScrapedTraffic(prometheus_server(workspace, prometheus))
    return check(policy, traffic, now=as_of(now), replayed=now is not None)


def check_capacity(
    workspace: Workspace,
    name: str,
    load_tests: Sequence[Path],
    paths: tuple[str, ...],
    *,
    now: str | None,
    about: str | None = None,
) -> "CapacityReport":
    """Judge what a service needs; see :mod:`relkit.monitoring.serving.run`.

    ``about`` is the release that was under load, ``MODEL@VERSION``; it has to be registered.
    """
    from relkit.monitoring.serving.files import parse_capacity_policy
    from relkit.monitoring.serving.run import check_capacity as check
    from relkit.wiring.registry import artifact_of

    version = None
    if about is not None:
        artifact_of(workspace, about)
        version = about.partition("@")[2]
    policy = monitor_files(workspace).read(name, parse_capacity_policy)
    telemetry = _turn_traffic(paths) if paths else None
    replayed = now is not None
    return check(policy, load_tests, telemetry, now=as_of(now), replayed=replayed, version=version)


def drift_profile(workspace: Workspace, options: "ProfileOptions") -> "DriftProfile":
    """Freeze a reference and write it; see :func:`relkit.monitoring.drift.run.make_profile`."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.core import storage
    from relkit.monitoring.drift.files import parse_drift_policy, render_profile
    from relkit.monitoring.drift.run import make_profile
    from relkit.telemetry.types import TelemetryOptions
    from relkit.wiring.telemetry import open_turns

    policy = None
    if options.policy is not None:
        policy = monitor_files(workspace).read(options.policy, parse_drift_policy)
    telemetry = TelemetryOptions(
        paths=options.paths,
        now=as_of(options.now),
        mapping={} if policy is None else policy.mapping,
    )
    with open_turns(telemetry) as table:
        profile = make_profile(DuckDBDrift(table, policy.by if policy else "session"), policy)
    storage.write_text(options.to, render_profile(profile))
    return profile


def drift(workspace: Workspace, options: "DriftOptions") -> "DriftReport":
    """Judge current telemetry; see :func:`relkit.monitoring.drift.run.judge_turns`."""
    from relkit.adapters.duckdb.drift import DuckDBDrift
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.monitoring.drift.files import parse_drift_policy, parse_profile
    from relkit.monitoring.drift.run import check_fit, judge_turns, windowed
    from relkit.telemetry.types import TelemetryOptions
    from relkit.wiring.telemetry import open_turns

    policy = monitor_files(workspace).read(options.policy, parse_drift_policy)
    policy = windowed(policy, options.window)
    source = options.reference.name
    data = storage.read_bytes(
        options.reference, what=source, hint="make one: relkit drift profile PATH --to FILE"
    )
    profile = parse_profile(decode(data, source=source), source=source)
    check_fit(policy, profile)
    telemetry = TelemetryOptions(
        paths=options.current, now=as_of(options.now), mapping=policy.mapping
    )
    with open_turns(telemetry) as table:
        return judge_turns(DuckDBDrift(table, policy.by), policy, profile)


def compare_costs(workspace: Workspace, options: "CostOptions") -> "CostReport":
    """Compare two arms; see :func:`relkit.monitoring.cost.run.compare_costs`."""
    from functools import partial

    from relkit.adapters.duckdb.cost import ArmUsageReader
    from relkit.monitoring.cost.ports import CostPorts
    from relkit.monitoring.cost.price_files import parse_cost_policy
    from relkit.monitoring.cost.run import compare_costs as compare
    from relkit.wiring.telemetry import open_turns

    policies = monitor_files(workspace)
    ports = CostPorts(
        policy=lambda name: policies.read(name, parse_cost_policy),
        table=partial(read_prices, folder=workspace.folder),
        usage=ArmUsageReader(open_turns),
    )
    return compare(options, ports)


def read_prices(name: str, folder: Path | None = None) -> "PriceTable":
    """Return a price table by its place, or by that in ``folder``; raises InvalidInput."""
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.monitoring.cost.price_files import parse_prices

    path = Path(name)
    if folder is not None and not path.is_file():
        path = folder / name
    text = decode(storage.read_bytes(path, what=path.name), source=path.name)
    return parse_prices(text, source=path.name)


def import_prices(
    file: Path,
    *,
    format_: "MapFormat | None",
    currency: str,
    models: tuple[str, ...],
    valid_from: str | None,
) -> "ImportedPrices":
    """Return a price table from a price map of another tool; raises UsageError, InvalidInput."""
    from relkit.core import storage
    from relkit.core.codec import decode
    from relkit.monitoring.cost.price_files import import_prices as import_map
    from relkit.monitoring.cost.types import checked_currency, checked_date

    day = as_of(None)[:10] if valid_from is None else valid_from
    try:
        checked_date(day)
    except ValueError as error:
        raise UsageError(f"--valid-from: {error}", hint="for example 2026-11-01") from error
    try:
        checked_currency(currency)
    except ValueError as error:
        raise UsageError(f"--currency: {error}", hint="for example --currency EUR") from error
    text = decode(storage.read_bytes(file, what=file.name), source=file.name)
    return import_map(
        text, source=file.name, currency=currency, valid_from=day, format_=format_, models=models
    )


def write_prices(path: Path, text: str) -> None:
    """Write a price table; raises StorageFailed."""
    from relkit.core import storage

    storage.write_text(path, text)


def prometheus_server(workspace: Workspace, url: str) -> "PrometheusServer":
    """Return a Prometheus server to ask; raises UsageError for no address."""
    from relkit.adapters.prometheus import PrometheusServer

    return PrometheusServer(url, workspace.environment)


def check_slo(
    workspace: Workspace,
    name: str,
    *,
    paths: tuple[str, ...],
    prometheus: str | None,
    now: str | None,
) -> "tuple[SloReport, LiveFinding]":
    """Judge an objective; see :func:`relkit.monitoring.slo.run.check_slo`.

    Raises UsageError without a source, and with two.
    """
    from relkit.monitoring.slo.files import parse_slo
    from relkit.monitoring.slo.run import check_slo as check

    if bool(paths) == (prometheus is not None):
        raise UsageError(
            "needs --telemetry or --prometheus, and not both", hint="see: relkit slo --help"
        )
    policy = monitor_files(workspace).read(name, parse_slo)
    levels: ServiceLevels
    if prometheus is not None:
        from relkit.adapters.prometheus import PrometheusLevels

        levels = PrometheusLevels(prometheus_server(workspace, prometheus))
    else:
        from relkit.adapters.duckdb.service_levels import TelemetryLevels
        from relkit.wiring.telemetry import open_turns

        levels = TelemetryLevels(paths, open_turns)
    return check(policy, levels, as_of(now))


def export_slo(workspace: Workspace, name: str, kind: str, place: Path) -> "SloExport":
    """Write an objective for other tools; raises UsageError, InvalidInput, StorageFailed."""
    from relkit.core import storage
    from relkit.monitoring.slo.files import parse_slo
    from relkit.monitoring.slo.openslo_files import render_openslo
    from relkit.monitoring.slo.prometheus_files import prometheus_export
    from relkit.monitoring.slo.types import SloExport

    policy = monitor_files(workspace).read(name, parse_slo)
    if kind == "openslo":
        storage.write_text(place, render_openslo(policy))
        return SloExport(slo=policy.name, kind="openslo", files=(workspace.shown(place),))
    if kind != "prometheus":
        raise UsageError("--export: prometheus or openslo", hint="--export prometheus DIR")
    files, notes = prometheus_export(policy)
    for file_name, text in files.items():
        storage.write_text(place / file_name, text)
    written = tuple(workspace.shown(place / file_name) for file_name in files)
    return SloExport(slo=policy.name, kind="prometheus", files=written, notes=notes)
