"""Reads a finished run as a probe of a vendor's model."""

from typing import TYPE_CHECKING

from relkit.core.config import Settings

if TYPE_CHECKING:
    from relkit.registry.types import Fingerprint


def fingerprint(settings: Settings, run: str) -> "Fingerprint":
    """Return the fingerprint of a run; see :func:`workflows.registry_probe.take_fingerprint`."""
    from relkit.registry.register import take_fingerprint
    from relkit.wiring import normalizer, run_folders

    runs = run_folders(settings)
    report = runs.read_report(run)
    return take_fingerprint(
        report, runs.read_outcomes(run), normalizer(settings, report.normalizer)
    )
