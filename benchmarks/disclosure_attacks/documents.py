"""What the present rules show of a population, and what those did that they replaced."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from benchmarks.disclosure_attacks.counts import Values
from benchmarks.disclosure_attacks.linear import Target
from benchmarks.disclosure_attacks.populations import Cell, Population, cells_of, draw, in_cell
from benchmarks.disclosure_attacks.reading import OTHER, Reading, read
from benchmarks.disclosure_attacks.replaced import rounded_counts
from relkit.adapters.linear import HighsBounds
from relkit.core.errors import InvalidInput
from relkit.core.slices import slice_parts
from relkit.disclosure.disclose import disclose
from relkit.disclosure.types import (
    Disclosed,
    FormAnswers,
    HourSpan,
    Impact,
    Packet,
    PacketCause,
    ShownCell,
    WindowTurns,
)
from relkit.incident.packets.types import IssuedPacket

K = 10
CROSSED = ("lang", "noise")
CROSSED_NEXT = ("device", "lang")
PERCENTILES = (50, 95, 99)
LINEAR = HighsBounds()


def present(
    turns: WindowTurns,
    crossed: tuple[str, str] | None = CROSSED,
    *,
    earlier: Disclosed | None = None,
    k: int = K,
) -> Disclosed | None:
    """Return what relkit shows of a window; None where it refuses to."""
    slices = [*turns.columns, *([] if crossed is None else ["&".join(crossed)])]
    try:
        return disclose(
            turns,
            slices=slices,
            k=k,
            linear=LINEAR,
            percentiles=PERCENTILES,
            earlier=earlier,
        )
    except InvalidInput:
        return None


@dataclass(slots=True)
class Case:
    """A population, and what is shown of all its hours, made when it is asked for."""

    seed: int
    population: Population = field(init=False)
    _present: list[Disclosed | None] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Draw the population."""
        self.population = draw(self.seed)

    @property
    def turns(self) -> WindowTurns:
        """All turns."""
        return self.population.turns

    @property
    def values(self) -> Values:
        """The values that each column can have, which everybody knows."""
        return {name: column.names for name, column in self.turns.columns.items()}

    def rng(self) -> np.random.Generator:
        """Return random numbers of the attack's own."""
        return np.random.default_rng([21, self.seed])

    def cells(self, *crossings: tuple[str, str]) -> list[Cell]:
        """Return every slice of the columns and of some crossings."""
        pairs = crossings or (None,)
        return list(dict.fromkeys(cell for pair in pairs for cell in cells_of(self.turns, pair)))

    def exact(self, target: Target) -> int:
        """Return a hidden count."""
        turns = self.population.window(*target.hours) if target.hours != (0, 1) else self.turns
        used = in_cell(turns, target.cell)
        if target.quantity == "people":
            return len(np.unique(turns.persons[used]))
        if target.quantity == "turns":
            return int(used.sum())
        flag = turns.flags[target.quantity][used]
        return int((flag == (0 if target.others else 1)).sum())

    def rounded(self, base: int = 5, crossed: tuple[str, str] = CROSSED) -> Reading:
        """Return what rounding shows of all hours."""
        return rounded_counts(self.turns, crossed, k=K, base=base)

    def shown(self) -> Disclosed | None:
        """Return what relkit shows of all hours; None where it refuses."""
        if not self._present:
            self._present.append(present(self.turns))
        return self._present[0]

    def reading(self) -> Reading | None:
        """Return what a reader takes out of that."""
        shown = self.shown()
        return None if shown is None else read(shown)

    def rounded_windows(self, windows: Sequence[tuple[int, int]]) -> list[Reading]:
        """Return what rounding shows of some windows."""
        return [
            rounded_counts(self.population.window(*hours), None, k=K, base=5, hours=hours)
            for hours in windows
        ]

    def banded_windows(self, windows: Sequence[tuple[int, int]]) -> list[Reading]:
        """Return what relkit would show of some windows if it took each for itself."""
        shown = [(present(self.population.window(*hours), None), hours) for hours in windows]
        return [read(disclosed, hours) for disclosed, hours in shown if disclosed is not None]


@cache
def case_of(seed: int) -> Case:
    """Return the population of a seed; what is shown of it is made once."""
    return Case(seed)


def packet_of(shown: Disclosed) -> Packet:
    """Return the packet of what is shown of all hours."""
    day = HourSpan(from_="2026-11-29T00:00:00Z", to="2026-11-29T06:00:00Z")
    pooled = {name for cell in shown.cells for name, v in slice_parts(cell.slice) if v == OTHER}
    return replace(
        issued(day, shown.cells).packet,
        percentiles=shown.percentiles,
        pooled=tuple(sorted(pooled)),
        hidden=shown.hidden,
    )


def issued(window: HourSpan, cells: Sequence[ShownCell] = ()) -> IssuedPacket:
    """Return a packet of an incident that is out, about some hours."""
    nothing = PacketCause(
        cause=None,
        evidence=None,
        component=None,
        first_bad=None,
        slice=None,
        metric=None,
        onset=None,
    )
    packet = Packet(
        incident="INC-1",
        stage="initial",
        previous=None,
        profile="default",
        k=K,
        unit="user",
        subjects="people",
        window=window,
        created=window.to,
        tool_version="0",
        status="open",
        severity=None,
        cause=nothing,
        mitigations=("none_yet",),
        impact=Impact(people=None, turns=None, minutes=None, budget_spent=None),
        served=(),
        cells=tuple(cells),
        percentiles=(),
        pooled=(),
        hidden=0,
        cost=(),
        drift=(),
        burn=(),
        rollback=None,
        timeline=(),
        form=FormAnswers(),
        summaries=(),
        commitments=(),
        page="0" * 64,
    )
    return IssuedPacket(name="INC-1", digest="", packet=packet, data=b"")
