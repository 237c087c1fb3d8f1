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
    from relkit.cli import host  # noqa: PLC0415  # --version of a broken install still works

    if host.needs_utf8() and sys.executable:
        host.restart_in_utf8()
    watcher = None if host.memory_limit() is None else host.start_watched()
    # Registered first, it is called last: after temporary folders and child processes have ended.
    atexit.register(_exit_at_once, codes, watcher)
    host.steady()
    try:
        from relkit.cli import boundary  # noqa: PLC0415  # as above

        codes.append(boundary.run(sys.argv[1:]))
    except (MemoryError, ImportError, SystemError):
        if watcher is None:
            raise
        os._exit(1)  # whoever watches says what that means
    sys.exit(codes[0])


def _exit_at_once(codes: list[int], watcher: int | None) -> None:
    """End the process before native libraries take themselves apart.

    A thread of Arrow's that is still ending then aborts a command that has done all of its work
    (apache/arrow#34314).
    """
    if not codes:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if watcher is not None:
        os.write(watcher, bytes(codes))
    os._exit(codes[0])


if __name__ == "__main__":
    main()
