"""Linear programs, solved by scipy's HiGHS."""

import numpy as np

from relkit._version import with_extra
from relkit.core.arrays import FloatArray
from relkit.core.errors import InvalidInput, MissingDependency
from relkit.disclosure.types import LinearSystem

_SOLVED = 0
_INFEASIBLE = 2


class HighsBounds:
    """Linear programs of disclosure control."""

    def least(self, system: LinearSystem, weights: FloatArray) -> FloatArray | None:
        """Return unknowns (V,) that fit the system and make ``weights @ unknowns`` least.

        None where nothing fits the system. Raises InvalidInput where a program has no answer for
        another reason: what cannot be audited is not shown; MissingDependency without scipy.
        """
        try:
            from scipy.optimize import Bounds, LinearConstraint, milp
            from scipy.sparse import csr_array
        except ImportError as error:
            raise MissingDependency(
                "packets are audited with scipy, which is not installed",
                hint=with_extra("incident"),
            ) from error

        shape = (len(system.low), len(system.lower))
        matrix = csr_array((system.coefficient, (system.row, system.column)), shape=shape)
        answer = milp(
            weights,
            constraints=LinearConstraint(matrix, system.low, system.high),
            bounds=Bounds(system.lower, system.upper),
        )
        if answer.status == _INFEASIBLE:
            return None
        if answer.status != _SOLVED:
            raise InvalidInput(
                "what would be shown could not be audited", hint="show fewer columns or metrics"
            )
        return np.asarray(answer.x, dtype=np.float64)
