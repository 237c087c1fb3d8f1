"""Addresses, keys and waiting times of servers that speak OpenAI's API; nothing is sent here."""

import http.client
import math
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult

from relkit.domain.errors import InvalidInput


def connection_to(address: SplitResult) -> http.client.HTTPConnection:
    """Return a connection that is not open yet; raises InvalidInput for no plain address."""
    try:
        host, port = address.hostname, address.port
        plain = bool((host or "").encode("idna")) and address.path.isascii()
    except ValueError:  # a port that is no number, a name that is none
        host, port, plain = None, None, False
    if not host or not plain or address.query or address.fragment or address.username:
        raise InvalidInput(
            "system: base_url is no plain address",
            hint="for example https://api.example.com/v1, the key in the variable of api_key_env",
        )
    if address.scheme == "https":
        return http.client.HTTPSConnection(host, port, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port)


def key_in(environment: Mapping[str, str], name: str) -> str:
    """Return the key that a variable holds; raises InvalidInput, which never repeats it."""
    key = environment.get(name, "").strip()
    if not key:
        raise InvalidInput(
            f"system: the environment variable {name} is not set",
            hint=f"export {name} with the key of the server, or leave api_key_env out",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidInput(
            f"system: the environment variable {name} holds no key", hint="look at it"
        )
    return key


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds a server asks to wait (RFC 9110, 10.2.3), None where it does not."""
    if value is None:
        return None
    with suppress(ValueError, TypeError, OverflowError):
        seconds = float(value)
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(value)
        return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None
