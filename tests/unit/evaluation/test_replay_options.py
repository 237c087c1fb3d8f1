"""`relkit eval --replay` measures what is recorded: options of asking have no place there."""

from dataclasses import replace
from typing import Any, cast

import pytest

from relkit.core.errors import UsageError
from relkit.evaluation.evaluate import EvalOptions, EvalPorts, evaluate

IDLE: dict[str, Any] = {
    "system": ("model=tiny.en",),
    "repeat": 2,
    "resume": "20260131",
    "limit": 3,
    "fresh": True,
    "executor": "ray",
    "stderr": True,
    "allow_remote": True,
}


@pytest.mark.parametrize("name", sorted(IDLE))
def test_an_option_that_would_do_nothing_is_refused(name: str) -> None:
    """Before anything is read, with the name of the option."""
    options = replace(EvalOptions(suite="talks", replay="20260131"), **{name: IDLE[name]})
    with pytest.raises(UsageError, match=f"--replay asks nobody: --{name.replace('_', '-')}"):
        evaluate(options, cast("EvalPorts", None), progress=lambda _done, _total: None)
