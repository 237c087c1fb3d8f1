"""OpenAI's transcription API as bytes and text: the form that is sent, the replies that come."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.domain.errors import InvalidInput
from relkit.records.strict import parse_json
from relkit.records.suites import OpenAIHttpRecord

MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
"""Endings of files that such servers take as they are."""

_LARGEST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The text of a reply, whole or (for a ``delta``) a piece of it, and its usage."""

    kind: str
    text: str
    usage: Mapping[str, float] = field(default_factory=dict)


def form_fields(record: OpenAIHttpRecord) -> dict[str, str]:
    """Return the fields of the form, without the audio."""
    fields = {
        "model": record.model,
        "language": record.language,
        "prompt": record.prompt,
        "response_format": "json",
        "temperature": f"{record.temperature:g}",
        "stream": "true" if record.stream else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def render_form(fields: Mapping[str, str], *, audio: bytes, ending: str) -> tuple[bytes, str]:
    """Return a multipart/form-data body (RFC 7578) and its content type.

    The audio goes by the name ``audio`` and an ending of ``MEDIA_TYPES``: the real name may hold a
    speaker's name, or the reference.
    """
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio{ending}"\r\n'
        f"Content-Type: {MEDIA_TYPES[ending]}\r\n\r\n"
    )
    body = "".join(parts).encode() + audio + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def parse_reply(data: bytes) -> Reply:
    """Return a whole JSON reply; raises InvalidInput, whose words repeat nothing of it."""
    document = _document(data)
    return Reply(kind="done", text=_string(document, "text"), usage=_usage(document))


def parse_event(line: bytes) -> Reply | None:
    """Return what one line of a stream of server-sent events says; None for all other lines.

    ``kind`` is ``delta`` or ``done``. Raises InvalidInput, whose words repeat nothing of it.
    """
    data = line.removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data == b"[DONE]":
        return None
    document = _document(data)
    match document.get("type"):
        case "transcript.text.delta":
            return Reply(kind="delta", text=_string(document, "delta"))
        case "transcript.text.done":
            return Reply(kind="done", text=_string(document, "text"), usage=_usage(document))
    return None


def _document(data: bytes) -> Mapping[str, object]:
    try:
        document = parse_json(data.decode("utf-8"), source="response")
    except UnicodeDecodeError:
        raise InvalidInput("a response that is not UTF-8") from None
    except InvalidInput:
        raise InvalidInput("a response that is not JSON") from None
    if not isinstance(document, Mapping):
        raise InvalidInput("a response that is no JSON object")
    return document


def _string(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise InvalidInput(f'a response without "{name}"')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("a response with half of a surrogate pair") from None
    return value


def _usage(document: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers of ``usage`` (seconds, or tokens); what lies deeper is part of these."""
    usage = document.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in usage.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if abs(value) <= _LARGEST and str(name).isidentifier() and str(name).isascii()
    }
