"""``python -m relkit`` and the ``relkit`` command."""

import atexit
import gc
import os
import sys

_COLLECTED_AFTER = 100_000
"""New objects before garbage is looked for: with Python's own 700, long reads take a fifth more."""


def main() -> None:
    """Run the command line and exit with its code."""
    # A command makes up to millions of objects, and nearly all of them stay until it ends.
    gc.set_threshold(_COLLECTED_AFTER)
    codes: list[int] = []
    # Registered first, it is called last: after temporary folders and child processes have ended.
    atexit.register(_exit_at_once, codes)
    from relkit.cli.boundary import (  # noqa: PLC0415  # --version of a broken install still works
        run,
    )

    codes.append(run(sys.argv[1:]))
    sys.exit(codes[0])


def _exit_at_once(codes: list[int]) -> None:
    """End the process before native libraries take themselves apart.

    A thread of Arrow's that is still ending then aborts a command that has done all of its work
    (apache/arrow#34314). Output that can't be flushed is left to the interpreter, which says so.
    """
    if not codes:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(codes[0])


if __name__ == "__main__":
    main()
