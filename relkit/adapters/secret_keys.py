"""The secrets of a workspace: what ids are hashed with, and what orders the sums of decisions."""

import os
import secrets
from pathlib import Path

from relkit.core import storage
from relkit.core.errors import InvalidInput, StorageFailed

TELEMETRY_KEY = "telemetry.key"
"""Hashes ids of sessions, units and users."""

EVIDENCE_KEY = "evidence.key"
"""Orders the clusters of decisions, so that a number does not tell whose sums they are."""

_BYTES = 32
_OTHERS = 0o077
_SHARE_IT = "runs that are to be joined need the same key: --key FILE"


def secret_key(path: Path, *, make: bool) -> bytes:
    """Return the 32 bytes of a key file; with ``make`` one that is absent is made, 0600.

    Of two processes that make it at once, both get the key of one. Raises InvalidInput for a file
    that is no key or that others can read, StorageFailed where none can be written.
    """
    if make and not path.exists():
        try:
            storage.write_secret(path, secrets.token_hex(_BYTES).encode("ascii") + b"\n")
        except FileExistsError:
            pass
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise StorageFailed(
                f"cannot write {path.name}: {reason}", hint="check the permissions of the folder"
            ) from error
    data = storage.read_bytes(path, what=path.name, hint=_SHARE_IT)
    if path.stat().st_mode & _OTHERS:
        raise InvalidInput(
            f"{path.name}: others can read it, and so find out whose data it hides",
            hint=f"chmod 600 {path.name}, and make a new one if others may have read it",
        )
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise InvalidInput(
            f"{path.name}: is no key of relkit", hint=f"{2 * _BYTES} hexadecimal digits, one line"
        )
    return key
