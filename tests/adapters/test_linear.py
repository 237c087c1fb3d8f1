"""Linear programs by scipy."""

import sys

import numpy as np
import pytest

from relkit.adapters.linear import HighsBounds
from relkit.core.errors import MissingDependency
from relkit.disclosure.audit import ShownTable, audit_of


def test_without_scipy_nothing_is_called_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that cannot be audited is not made, and the message names the extra."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    system = audit_of(ShownTable(cells={}, k=10)).system
    with pytest.raises(MissingDependency) as caught:
        HighsBounds().least(system, np.zeros(len(system.lower)))
    assert "[incident]" in str(caught.value.hint)
