"""Where output goes: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from relkit.core.errors import UsageError

if TYPE_CHECKING:
    from relkit.cli.app import Common
    from relkit.core.digests import JsonValue
    from relkit.core.ports import Progress


T = TypeVar("T")


def show(
    result: T,
    common: "Common",
    *,
    text: Callable[[T], str],
    document: "Callable[[T], Mapping[str, JsonValue]] | None" = None,
) -> None:
    """Print a result on stdout: as text for people, or as the one document of ``--json``.

    Without ``document`` that is the result in the shape of its type.
    """
    if common.as_json:
        from relkit.core.codec import encode

        print_json((document or encode)(result))
    else:
        put(text(result))


def print_json(document: "Mapping[str, JsonValue]") -> None:
    """Print the one JSON document of ``--json``."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user something on stderr, unless asked to be quiet."""
    if not quiet:
        sys.stderr.write(text + "\n")


def put(text: str) -> None:
    """Print a result to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def seconds(text: str, option: str) -> float:
    """Return a duration such as ``24h`` in seconds; raises UsageError."""
    from relkit.core.values import duration_s

    try:
        return duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> "Iterator[Progress]":
    """Give a callback that draws (done, total); it does nothing where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
