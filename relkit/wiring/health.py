"""Builds what looks at the machine."""

from relkit.adapters.health import Health
from relkit.core.config import Settings


def health(settings: Settings | None) -> tuple[Health, ...]:
    """Return what `relkit doctor` shows; see :func:`relkit.adapters.health.look`."""
    from relkit.adapters.health import look

    return tuple(look(settings))
