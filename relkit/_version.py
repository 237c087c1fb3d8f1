"""The version and the name of what is installed, where every layer may read them."""

__version__ = "0.1.0"

DISTRIBUTION = "relkit-speech"
"""What pip calls it: on the package index ``relkit`` is a tool of others, with the same import."""


def with_extra(extra: str) -> str:
    """Return the command that adds an extra to the relkit that is installed.

    It takes relkit from no index: an installation from a clone or a VCS address satisfies the name,
    so that pip adds what the extra lacks and nothing else.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"
