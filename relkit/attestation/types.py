"""Who is believed: public keys, as those see them that only ask whether a signature is good."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key that is believed: its id, and whether it made a signature over a message."""

    key: str
    made: Callable[[bytes, bytes], bool]
    """Called with (signature, message)."""
