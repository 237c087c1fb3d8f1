"""Names for speakers that lead back to no account, by a key that stays in the workspace."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from relkit.domain.errors import InvalidInput, StorageFailed

_KEY_BYTES = 32
_LENGTH = 16


class Pseudonyms:
    """Replaces a name by the same pseudonym each time, in this workspace only.

    A plain hash would not do: account ids are published, and whoever has the list could hash it.
    """

    def __init__(self, path: Path) -> None:
        """Use the key in a file, which is made when it is first needed, readable by its owner."""
        self._path = path
        self._key: bytes | None = None

    def of(self, name: str) -> str:
        """Return 16 hexadecimal digits: HMAC-SHA-256 (RFC 2104) of the name, shortened."""
        if self._key is None:
            self._key = _read_or_make(self._path)
        digest = hmac.new(self._key, name.encode("utf-8"), hashlib.sha256)
        return digest.hexdigest()[:_LENGTH]


def _read_or_make(path: Path) -> bytes:
    """Return the key; raises InvalidInput where the file is no key, StorageFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {path.name}", hint="check disk and permissions"
        ) from error
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageFailed(
            f"cannot write {path.name}", hint="check disk and permissions"
        ) from error
    return key


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path.name}: cannot be read", hint="check its permissions") from error
    if len(key) != _KEY_BYTES:
        raise InvalidInput(
            f"{path.name}: is no key of {_KEY_BYTES} bytes",
            hint="remove it: a new one is made, and speakers get new pseudonyms",
        )
    return key
