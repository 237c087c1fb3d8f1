"""Ed25519 keys and signatures, by ``cryptography``; works offline.

A key id is the lower-case hexadecimal SHA-256 of the public key's DER (SubjectPublicKeyInfo), so
that ``openssl pkey -pubin -in relkit.pub -outform DER | sha256sum`` prints it.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from relkit._version import with_extra
from relkit.attestation.envelopes import Envelope, Signature
from relkit.attestation.types import TrustedKey
from relkit.core import storage
from relkit.core.errors import InvalidInput, MissingDependency, StorageFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )


PASSWORD = "RELKIT_KEY_PASSWORD"  # noqa: S105 - the name of a variable
PRIVATE_NAME = "relkit.key"
PUBLIC_NAME = "relkit.pub"
INLINE = "ed25519:"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LARGEST = 1 << 16
_MAKE = "make one with: relkit doctor --make-key DIR"


class SigningKey:
    """A private key that signs; it never leaves this object."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        """Hold a key that was loaded."""
        self._private = private

    @property
    def public(self) -> TrustedKey:
        """The public half."""
        return _trusted(self._private.public_key())

    def sign(self, envelope: Envelope) -> Envelope:
        """Return the envelope with this key's signature added; one it has made is replaced."""
        key = self.public.key
        signatures = tuple(item for item in envelope.signatures if item.key != key)
        signature = Signature(key=key, value=self._private.sign(envelope.message))
        return Envelope(payload=envelope.payload, signatures=(*signatures, signature))


def make_key(folder: Path, environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Write a new key to a folder and return (private, public): PKCS8 and SubjectPublicKeyInfo PEM.

    The private one is readable by its owner only, and encrypted where ``RELKIT_KEY_PASSWORD`` is
    set. A key that is there is never written over: raises InvalidInput, StorageFailed.
    """
    _require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    password = environment.get(PASSWORD, "")
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        protection = serialization.BestAvailableEncryption(password.encode("utf-8"))
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    paths = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    for path in paths:
        if os.path.lexists(path):
            raise InvalidInput(f"{path.name} exists already", hint="name another folder")
    try:
        storage.write_secret(paths[0], secret)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {paths[0].name}: {os.strerror(error.errno or 0)}",
            hint="check disk and permissions of the folder",
        ) from error
    storage.write_bytes(paths[1], public)
    return paths


def load_private(path: Path, environment: Mapping[str, str]) -> SigningKey:
    """Return a private key from a PEM file; raises InvalidInput, MissingDependency.

    Refused: a file that others than its owner can read, an encrypted key without
    ``RELKIT_KEY_PASSWORD``, and every other kind of key.
    """
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    name = path.name
    data = _read_secret(path)
    password = environment.get(PASSWORD, "").encode("utf-8") or None
    encrypted = b"ENCRYPTED" in data
    if encrypted and password is None:
        raise InvalidInput(f"{name}: the key is encrypted", hint=f"set {PASSWORD}")
    try:
        key = load_pem_private_key(data, password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = f"is {PASSWORD} right?" if encrypted else _MAKE
        raise InvalidInput(f"{name}: is no private key in PEM form", hint=hint) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{name}: is another kind of key, Ed25519 is needed", hint=_MAKE)
    return SigningKey(key)


def _read_secret(path: Path) -> bytes:
    """Return a private key's bytes; what was checked is what is read, through one descriptor."""
    name = path.name
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise InvalidInput(
                    f"{name}: others than its owner can read this key",
                    hint=f"chmod 600 {name}, and make a new key if others may have read it",
                )
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidInput(
            f"{name}: cannot be read: {os.strerror(error.errno or 0)}", hint=_MAKE
        ) from error
    if len(data) > _LARGEST:
        raise InvalidInput(f"{name}: is too large for a key", hint=_MAKE)
    return data


def load_trusted(texts: Iterable[str], *, relative_to: Path) -> tuple[TrustedKey, ...]:
    """Return public keys by path or ``ed25519:<base64>``, each once; raises InvalidInput."""
    keys = (load_public(text, relative_to=relative_to) for text in texts)
    return tuple({key.key: key for key in keys}.values())


def load_public(text: str, *, relative_to: Path) -> TrustedKey:
    """Return a public key: the path of a PEM file, or ``ed25519:`` with 32 bytes in base64.

    Raises InvalidInput for what is no Ed25519 public key, MissingDependency.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not text.startswith(INLINE):
        return _public_pem(relative_to / text)
    try:
        raw = base64.b64decode(text.removeprefix(INLINE), validate=True)
        return _trusted(Ed25519PublicKey.from_public_bytes(raw))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            f"{INLINE}…: is no public key", hint=f"{INLINE} and 32 bytes in base64, or a PEM file"
        ) from error


def _public_pem(path: Path) -> TrustedKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    name = path.name
    data = storage.read_bytes(path, what=name, hint=_MAKE)
    if b"PRIVATE KEY" in data:
        raise InvalidInput(f"{name}: is a private key", hint=f"give the public one, {PUBLIC_NAME}")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"{name}: is no public key in PEM form", hint=_MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(f"{name}: is another kind of key, Ed25519 is needed", hint=_MAKE)
    return _trusted(key)


def _trusted(public: "Ed25519PublicKey") -> TrustedKey:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def is_signed(signature: bytes, message: bytes) -> bool:
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return TrustedKey(key=hashlib.sha256(der).hexdigest(), made=is_signed)


def _require() -> None:
    """Raise MissingDependency where ``cryptography`` is not installed."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401 - asked for, not used
    except ImportError as error:
        raise MissingDependency(
            "signatures need the package cryptography", hint=with_extra("sign")
        ) from error
