"""Where output goes: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Mapping

from relkit.records.digests import JsonValue


def print_json(document: Mapping[str, JsonValue]) -> None:
    """Print the one JSON document of ``--json``."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user something on stderr, unless asked to be quiet."""
    if not quiet:
        sys.stderr.write(text + "\n")


def put(text: str) -> None:
    """Print a result to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def safe(text: str) -> str:
    """Return text from data without control characters, so that it cannot steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
