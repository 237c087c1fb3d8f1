"""How slices, metrics and parameters are spelled for MLflow, which refuses many characters."""

import hashlib
import json
import re
from urllib.parse import unquote

from relkit.domain.slices import OVERALL
from relkit.domain.suites import Scalar
from relkit.domain.utterances import NO_VALUE

_NAME_LIMIT = 250  # MLflow's own limit, for the names of metrics and parameters
_SLICE_LIMIT = 200
_VALUE_LIMIT = 500

_NOT_IN_COLUMN = re.compile(r"[^\w\-]")
_NOT_IN_VALUE = re.compile(r"[^\w.\- ]")
_BIN = re.compile(r"\[([^,\[\]()]+),([^,\[\]()]+)\)")

_HIDDEN = "(hidden)"
_SECRET_WORD = re.compile(
    r"(?i)(?<![a-z])(api_?key|authorization|cookie|credentials?|key|pass(phrase|word|wd)|secret|token)"
    r"(?![a-z])(?!.*_(env|file)$)"
)
_SECRET_ARGUMENT = re.compile(
    r"(?i)(--[\w-]*(?:key|token|secret|passw)[\w-]*[= ]\s*"
    r"|\b\w*(?:key|token|secret|passw)\w*=|\bbearer\s+)\S+"
)
_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?\S*")


def metric_name(slice_key: str, metric: str) -> str:
    """Return MLflow's name for a metric of a slice; different slices never share one.

    ``wer`` stays ``wer`` in ``overall``; ``accent=us&noise=babble`` gives
    ``accent:us/noise:babble/wer``, a missing value ``accent::none/wer``, the bin ``[1,2)``
    ``length:1:to:2/wer``. Other characters that MLflow refuses become ``:`` and two hex digits a
    UTF-8 byte (in a column: a space and the digits); a slice of over 200 characters is cut and
    ends in a part of its SHA-256.
    """
    shown = _capped(_escaped(_NOT_IN_VALUE, metric, ":"), _NAME_LIMIT - _SLICE_LIMIT - 1)
    if slice_key == OVERALL:
        return shown
    parts = "/".join(_part(part) for part in slice_key.split("&"))
    return f"{_capped(parts, _SLICE_LIMIT)}/{shown}"


def _part(part: str) -> str:
    column, _, value = part.rpartition("=")
    return f"{_escaped(_NOT_IN_COLUMN, column, ' ')}:{_value(unquote(value))}"


def _value(value: str) -> str:
    # No escape begins with ":n" or ":t", so the two spellings below cannot be another value's.
    if value == NO_VALUE:
        return ":none"
    ends = _BIN.fullmatch(value)
    if ends:
        return ":to:".join(_escaped(_NOT_IN_VALUE, end, ":") for end in ends.groups())
    return _escaped(_NOT_IN_VALUE, value, ":")


def _escaped(refused: re.Pattern[str], text: str, mark: str) -> str:
    return refused.sub(lambda m: "".join(f"{mark}{byte:02X}" for byte in m[0].encode()), text)


def _capped(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    return f"{name[: limit - 18]}:x{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def shown_parameter(name: str, value: Scalar) -> str:
    """Return a parameter's value, cut to 500 characters and without what looks like a secret.

    Secrets belong in environment variables; this catches what was written down all the same.
    """
    if _SECRET_WORD.search(name):
        return _HIDDEN
    if not isinstance(value, str):
        return json.dumps(value)
    text = _QUERY.sub(r"\1", _USERINFO.sub("", value))
    text = _SECRET_ARGUMENT.sub(rf"\g<1>{_HIDDEN}", text)
    return text if len(text) <= _VALUE_LIMIT else text[: _VALUE_LIMIT - 1] + "…"


def parameter_name(name: str) -> str:
    """Return MLflow's name for a parameter: other characters escaped, at most 250 long."""
    return _capped(_escaped(_NOT_IN_VALUE, name, ":"), _NAME_LIMIT)
