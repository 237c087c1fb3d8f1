"""A progress bar on stderr, when stderr is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from relkit.ports import Progress


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Progress]:
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
