# ruff: noqa: INP001 - a script beside its action, no package
"""Shows why relkit gave up: ``python3 error_of.py DOCUMENT``. Standard library only.

With ``--json`` an error is in the document alone, where nobody would see it.
"""

import json
import sys
from pathlib import Path
from typing import Any


def error_of(document: Any) -> str:  # noqa: ANN401 - any document
    """Return the message and the hint of an error on one line; empty where there is none.

    A runner reads what is printed as commands, so that control characters become spaces and the
    signs of commands are escaped as ``escapeData`` of actions/toolkit does.
    """
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return ""
    said = [error[name] for name in ("message", "hint") if isinstance(error.get(name), str)]
    line = "".join(char if char.isprintable() else " " for char in "; ".join(said))
    return line.replace("%", "%25").replace("##[", "## [")


def main(path: str) -> None:
    """Print the error of a document as an annotation."""
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        document = None
    sys.stderr.write(f"::error title=relkit::{error_of(document) or 'relkit said nothing'}\n")


if __name__ == "__main__":
    main(sys.argv[1])
