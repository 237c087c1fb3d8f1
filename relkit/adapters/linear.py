"""Linear programs, solved by scipy's HiGHS."""

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.errors import InvalidInput
from relkit.disclosure.types import LinearSystem

_INFEASIBLE = 2
_SOLVED = 0


class HighsBounds:
    """The least and the most of unknown counts, by two programs each."""

    def bounds(self, system: LinearSystem, targets: IntArray) -> FloatArray | None:
        """Return the least and the most (T, 2) that each target can be; None: nothing fits.

        Raises InvalidInput where a program has no answer: what cannot be audited is not shown.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        unknowns = len(system.lower)
        matrix = csr_array(
            (system.coefficient, (system.row, system.column)), shape=(len(system.low), unknowns)
        )
        limits = Bounds(system.lower, system.upper)
        rows = LinearConstraint(matrix, system.low, system.high) if len(system.low) else ()
        ends = np.empty((len(targets), 2))
        for place, target in enumerate(targets.tolist()):
            for end, sign in enumerate((1.0, -1.0)):
                objective = np.zeros(unknowns)
                objective[target] = sign
                answer = milp(objective, constraints=rows, bounds=limits)
                if answer.status == _INFEASIBLE:
                    return None
                if answer.status != _SOLVED:
                    raise InvalidInput(
                        "what would be shown could not be audited", hint="show fewer columns"
                    )
                ends[place, end] = sign * answer.fun
        return ends
