"""Builds what ``relkit registry import`` needs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from relkit.core.config import MlflowSettings, Settings
from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.registry.adopt import ImportedModel


def import_models(
    settings: Settings,
    kind: str,
    *,
    models: Sequence[str] = (),
    registry_uri: str | None = None,
    component: str | None = None,
    by: str | None = None,
) -> "tuple[ImportedModel, ...]":
    """Import a registry; see :func:`relkit.registry.adopt.import_registry`."""
    from relkit.adapters.mlflow.registry import MlflowRegistry
    from relkit.registry.adopt import COMPONENTS, Importing, import_registry
    from relkit.wiring.registry import entry, registry_ports

    if kind != "mlflow":
        raise UsageError(f'no registry of the kind "{kind}" can be imported', hint="use mlflow")
    known = next((one for one in COMPONENTS if one == component), None)
    if component is not None and known is None:
        raise UsageError(f'"{component}" is no component', hint=f"one of {', '.join(COMPONENTS)}")
    registry = MlflowRegistry(
        settings.mlflow or MlflowSettings(),
        state=settings.state,
        environment=settings.environment,
        uri=registry_uri,
    )
    task = Importing(
        registry=registry,
        ports=replace(registry_ports(settings), mirror=None),
        locate=lambda address: located(settings.workspace, address),
        entry=entry(settings, by),
        component=known,
    )
    return import_registry(models, task)


def located(workspace: Path, address: str) -> str | None:
    """Return the path relative to the workspace that an address leads to, None if not into it.

    A relative path starts at the workspace.
    """
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    base = workspace.resolve()
    path = (base / unquote(parts.path)).resolve()
    if path == base or not path.is_relative_to(base) or not path.exists():
        return None
    return path.relative_to(base).as_posix()
