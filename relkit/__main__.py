"""``python -m relkit`` and the ``relkit`` command."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from relkit.cli.boundary import (  # noqa: PLC0415  # --version of a broken install still works
        run,
    )

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
