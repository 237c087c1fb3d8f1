"""How the end of a process is told to people."""

import signal


def describe_exit(code: int) -> str:
    """Return ``exit code 3`` or ``signal SIGKILL`` for a process's return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
