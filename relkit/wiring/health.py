"""Builds what looks at the machine."""

from relkit.config import Settings
from relkit.domain.health import Health


def health(settings: Settings | None) -> tuple[Health, ...]:
    """Return what `relkit doctor` shows; see :func:`relkit.adapters.health.look`."""
    from relkit.adapters.health import look

    return tuple(look(settings))
