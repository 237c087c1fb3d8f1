"""The secrets of a workspace: what ids are hashed with, and what orders the sums of decisions."""

from pathlib import Path

from relkit.core import storage
from relkit.core.errors import InvalidInput

TELEMETRY_KEY = "telemetry.key"
"""Hashes ids of sessions, units and users."""

EVIDENCE_KEY = "evidence.key"
"""Orders the clusters of decisions, so that a number does not tell whose sums they are."""

ABUSE_KEY = "abuse.key"
"""Makes the pseudonyms of classes of tenants, so that looks for abuse agree on them."""

_SHARE_IT = "runs that are to be joined need the same key: --key FILE"


def secret_key(path: Path, *, make: bool) -> bytes:
    """Return the 32 bytes of a key file; with ``make`` one that is absent is made, 0600.

    Raises InvalidInput for a file that is no key or that others can read, StorageFailed where none
    can be written; see :func:`relkit.core.storage.secret_bytes`.
    """
    return storage.secret_bytes(
        path,
        make=make,
        what=path.name,
        absent=_SHARE_IT,
        exposed=InvalidInput(
            f"{path.name}: others can read it, and so find out whose data it hides",
            hint=f"chmod 600 {path.name}, and make a new one if others may have read it",
        ),
        broken=InvalidInput(
            f"{path.name}: is no key of relkit",
            hint=f"{2 * storage.SECRET_BYTES} hexadecimal digits, one line",
        ),
    )
