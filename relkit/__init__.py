"""relkit: evaluation and release decisions for served speech assistants.

>>> import relkit
>>> relkit.score(["turn on the light"], ["turn of the light"]).wer
0.25
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit._version import __version__
    from relkit.api import (
        Document,
        Run,
        canary,
        capacity,
        card,
        compare,
        cost,
        drift,
        evaluate,
        gate,
        health,
        load_run,
        redact,
        rescore,
        runbook,
        score,
        slo,
        triage,
    )

__all__ = [
    "Document",
    "Run",
    "__version__",
    "canary",
    "capacity",
    "card",
    "compare",
    "cost",
    "drift",
    "evaluate",
    "gate",
    "health",
    "load_run",
    "redact",
    "rescore",
    "runbook",
    "score",
    "slo",
    "triage",
]


def __getattr__(name: str) -> object:
    """Load a verb when it is first used: importing relkit costs next to nothing."""
    if name in __all__:
        module = "relkit._version" if name == "__version__" else "relkit.api"
        return getattr(import_module(module), name)
    raise AttributeError(f"module 'relkit' has no attribute {name!r}")


class _Package(ModuleType):
    """A package whose verbs keep their names although one inside it is called ``gate``, too."""

    def __setattr__(self, name: str, value: object) -> None:
        """Leave out what an import would set: ``relkit.gate`` stays the verb."""
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
