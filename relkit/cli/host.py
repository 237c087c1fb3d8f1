"""What the machine gives a command: two streams, an encoding, memory; and how it does without.

A pipe that its reader has closed takes no more, and nothing is to be said about it. Where a disk is
full, or the like, output is lost: the command goes on to its end, and :func:`lost` says why.
"""

import ctypes
import io
import os
import resource
import select
import signal
import sys
from contextlib import suppress

from relkit.core.errors import ExitCode, describe_exit

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ASCII = frozenset({"ascii", "us-ascii", "ansi_x3.4-1968", "646"})


class _Descriptor(io.RawIOBase):
    """A descriptor to write to, which takes everything after the first failure."""

    def __init__(self, descriptor: int) -> None:
        """Write to an open descriptor, which is not closed."""
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        """Write bytes and return how many are done with."""
        view = memoryview(data)  # type: ignore[arg-type]  # bytes-like, as io has it
        while self.failure is None:
            try:
                return os.write(self._descriptor, view)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
        return view.nbytes


_descriptors: list[_Descriptor] = []


def steady() -> None:
    """Make both streams of this process steady; one that was closed at the start takes nothing.

    What their encoding has no character for is written as an escape.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
            continue
        raw = _Descriptor(stream.fileno())
        _descriptors.append(raw)
        text = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=name == "stderr" or raw.isatty(),
        )
        setattr(sys, name, text)


def lost() -> str | None:
    """Return why standard output is not whole, None where it is or its reader has closed it."""
    sys.stdout.flush()
    failure = _descriptors[0].failure if _descriptors else None
    if failure is None or isinstance(failure, BrokenPipeError):
        return None
    return os.strerror(failure.errno or 0)


def reader_has_left() -> bool:
    """Return whether the reader of standard output has closed it, so that nothing more is read."""
    return bool(_descriptors) and isinstance(_descriptors[0].failure, BrokenPipeError)


def needs_utf8() -> bool:
    """Return whether this process can name no file beyond ASCII: ``LC_ALL=C`` without UTF-8."""
    return sys.getfilesystemencoding().lower() in _ASCII


def restart_in_utf8() -> None:
    """Start this process again, in Python's UTF-8 mode, for itself and for its children."""
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself again


def memory_limit() -> int | None:
    """Return how many bytes of memory this process may have (``ulimit -v``), None for any."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def start_watched() -> int:
    """Go on in a child, and return a descriptor that takes its exit code; the parent watches.

    Native libraries that get no memory end the process with whatever code they like, 1 among them,
    which would read as a verdict. A code that was not handed over is none: the parent says that
    memory ran out and exits 2.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # each thread reserves its own
        os.environ.setdefault(name, "1")
    with suppress(OSError, AttributeError):  # another C library has none
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)  # each arena reserves 64 MiB
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        return writer
    os.close(writer)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the child, too
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.read(reader, 1)
    if not code:
        mib = (memory_limit() or 0) >> 20
        why = describe_exit(os.waitstatus_to_exitcode(status))
        text = f"relkit: error: not enough memory: ended with {why} at a limit of {mib} MiB\n"
        os.write(2, f"{text}  {MORE_MEMORY}\n".encode())
    os._exit(code[0] if code else ExitCode.INVALID)


MORE_MEMORY = "give it more (ulimit -v, the limit of the container), or run fewer --jobs"
"""What to do where memory ran out."""
