"""What can be worked out from shown cells, and that it is little enough."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from relkit.adapters.linear import HighsBounds
from relkit.core.errors import InvalidInput
from relkit.core.slices import OVERALL
from relkit.disclosure.audit import (
    SLACK,
    ShownTable,
    audit_of,
    corner_name,
    excess,
    group_name,
    pinned_slices,
    propagate,
)
from relkit.disclosure.disclose import disclose
from relkit.disclosure.numbers import band_of, is_band
from relkit.disclosure.types import (
    Band,
    FewerThan,
    LinearSystem,
    ShownBand,
    ShownCell,
    ShownMetric,
    ShownRate,
)
from relkit.disclosure.widening import Draft, may_have_been, widen_until_safe
from tests.window_data import random_window

LINEAR = HighsBounds()


def cell(
    key: str, turns: Band, people: Band = (10, 19), metrics: Mapping[str, ShownMetric] | None = None
) -> ShownCell:
    """Return a shown cell."""
    return ShownCell(slice=key, people=people, utterances=turns, metrics=metrics or {})


def table(*cells: ShownCell) -> ShownTable:
    """Return the table of cells of which something is hidden in every column."""
    return ShownTable(cells={shown.slice: shown for shown in cells}, k=10)


def ends(shown: ShownTable, key: str, quantity: str = "utterances") -> tuple[float, float]:
    """Return how far linear programs pin a hidden count."""
    audit = audit_of(shown)
    (place,) = (
        count.unknown for count in audit.hidden if (count.slice, count.quantity) == (key, quantity)
    )
    weights = np.zeros(len(audit.system.lower))
    weights[place] = 1.0
    least, most = LINEAR.least(audit.system, weights), LINEAR.least(audit.system, -weights)
    assert least is not None
    assert most is not None
    return float(least[place]), float(most[place])


def test_bands_leave_a_small_hidden_value_possible_from_zero() -> None:
    """Beside 1,000 to 1,999 turns of 500 to 1,999, what is hidden can be none, or 1,499."""
    shown = table(cell(OVERALL, (1000, 1999)), cell("accent=us", (500, 1999)))
    low, high = ends(shown, "accent")
    assert low == pytest.approx(0.0, abs=SLACK)
    assert high == pytest.approx(1499.0)


def test_the_bands_of_995_of_1000_would_tell_that_somebody_is_hidden() -> None:
    """They are two bands, so that what is hidden is more than none: the audit finds it."""
    shown = table(cell(OVERALL, (1000, 1999)), cell("accent=us", (500, 999)))
    assert ends(shown, "accent")[0] == pytest.approx(1.0)
    assert pinned_slices(shown.cells.values(), 10, 1) == ("accent",)
    assert pinned_slices(shown.cells.values(), 10, 0) == (), "nothing is hidden"


def test_995_of_1000_is_shown_as_500_to_1999() -> None:
    """The band of the cell beside the hidden one widens by a step, and no other."""
    people = band_of(100)
    shown = table(cell(OVERALL, (1000, 1999), people), cell("accent=us", (500, 999), people))
    widened = widen_until_safe(Draft(table=shown, hidden=1, rates={}), LINEAR)
    assert widened.cells["accent=us"].utterances == (500, 1999)
    assert widened.cells[OVERALL] == shown.cells[OVERALL]
    assert widened.widened == 1


def test_cells_that_are_out_already_do_not_widen() -> None:
    """What cannot be hidden any more is refused, by its slice and without a count."""
    people = band_of(100)
    shown = table(cell(OVERALL, (1000, 1999), people), cell("accent=us", (500, 999), people))
    draft = Draft(table=shown, hidden=1, rates={}, frozen=frozenset(shown.cells))
    with pytest.raises(InvalidInput, match="accent") as refused:
        widen_until_safe(draft, LINEAR)
    assert "995" not in refused.value.message


@pytest.mark.parametrize("seed", range(4))
def test_rounding_to_five_tells_small_hidden_counts_and_bands_do_not(seed: int) -> None:
    """One value is hidden beside one shown and the whole: 100 pairs, of which bands tell none."""
    rng = np.random.default_rng(seed)
    bounded = above_zero = 0
    for _ in range(25):
        hidden, shown = int(rng.integers(1, 6)), int(rng.integers(50, 2000))
        difference = 5 * (round((hidden + shown) / 5) - round(shown / 5))
        bounded += difference + 4 < 10
        above_zero += difference - 4 > 0
        people = band_of(max(10, shown // 3))
        pair = table(
            cell(OVERALL, band_of(hidden + shown), people),
            cell("accent=us", band_of(shown), people),
        )
        widened = widen_until_safe(Draft(table=pair, hidden=1, rates={}), LINEAR)
        after = ShownTable(cells=widened.cells, k=10)
        low, high = ends(after, "accent")
        assert low <= SLACK
        assert high >= 10
        assert all(is_band(shown.utterances) for shown in after.cells.values())
    assert bounded == 25
    assert above_zero > 5


def test_rates_tie_events_to_turns() -> None:
    """A column whose shown rates leave events over proves them of what is hidden."""
    rate = ShownRate(value=0.3, low=0.29, high=0.31, step=0.01)
    low_rate = ShownRate(value=0.02, low=0.01, high=0.03, step=0.01)
    shown = table(
        cell(OVERALL, (1000, 1999), (100, 199), {"failure": rate}),
        cell("accent=us", (1000, 1999), (100, 199), {"failure": low_rate}),
    )
    assert ends(shown, "accent")[0] > 1
    assert "accent" in pinned_slices(shown.cells.values(), 10, 1)


def pinned(shown: ShownTable) -> set[str]:
    """Return the slices of which propagation pins a hidden count."""
    audit = audit_of(shown)
    bounds = propagate(audit.system)
    return {
        count.slice for count in audit.hidden if excess(count, *bounds[count.unknown].tolist()) > 0
    }


@pytest.mark.parametrize(("turns", "told"), [((100, 199), set()), ((50, 99), {"accent=uk"})])
def test_fewer_than_ten_events_stay_possible_from_none_to_nine(turns: Band, told: set[str]) -> None:
    """Events of a cell that reads "fewer than 10" are told where those of the others are too few.

    25 events at least of the whole, and 24 at most of all others.
    """
    rate = ShownRate(value=0.3, low=0.2, high=0.4, step=0.1)
    lower = ShownRate(value=0.2, low=0.1, high=0.3, step=0.1)
    cells = table(
        cell(OVERALL, (100, 199), (50, 99), {"failure": rate}),
        cell("accent=uk", (20, 49), (10, 19), {"failure": FewerThan(below=10)}),
        cell("accent=us", turns, (20, 49), {"failure": lower}),
    )
    measured = frozenset({"failure"})
    assert pinned(replace(cells, complete=frozenset({"accent"}), measured=measured)) == told


def test_a_crossing_is_audited_with_its_columns() -> None:
    """Three of four cells and both columns tell that the fourth has turns, if that is all."""
    people = (50, 99)
    shown = table(
        cell(OVERALL, (200, 499), people),
        *(cell(key, (100, 199), people) for key in ("a=x", "a=y", "b=u", "b=v")),
        *(cell(key, (50, 99), people) for key in ("a=x&b=u", "a=x&b=v", "a=y&b=u")),
    )
    assert pinned(shown) == set()
    assert pinned(replace(shown, complete=frozenset({"a", "b"}))) == {"a=y&b=v"}


def test_cells_that_hardly_fill_their_column_are_audited_together() -> None:
    """Hidden cells beside a value may not be told together, unless they would pass together."""
    people = (50, 99)
    shown = table(
        cell(OVERALL, (200, 499), people),
        *(cell(key, (100, 199), people) for key in ("a=x", "a=y", "b=u", "b=v", "b=w")),
        cell("a=x&b=u", (50, 99), people),
    )
    assert pinned(shown) == set()
    guarded = frozenset({group_name("a=x", "b", everything=True)})
    assert pinned(replace(shown, guarded=guarded)) == {"a=x&b"}


def crossed(metric: ShownMetric) -> ShownTable:
    """Return a crossing in which 100 to 199 turns of a=x have b=u, and 2 to 99 have not."""
    people, rate = (50, 99), ShownRate(value=0.1, low=0.05, high=0.15, step=0.01)
    whole = cell(OVERALL, (200, 499), people, {"failure": rate})
    columns = [cell(key, (100, 199), people) for key in ("a=x", "a=y", "b=u", "b=v")]
    columns[0] = replace(columns[0], metrics={"failure": metric})
    shown = table(whole, *columns, cell("a=x&b=u", (50, 99), people, {"failure": rate}))
    return replace(shown, measured=frozenset({"failure"}))


def test_events_of_hidden_cells_that_pass_together_are_not_told_to_be_few() -> None:
    """Who knows which values are in a pool that passes would know that of each of them."""
    few = ShownBand(events=(10, 12), than_rest="higher")
    shown = crossed(few)
    bounds = propagate(audit_of(shown).system)
    names = {"a=x&b"}
    counts = [count for count in audit_of(shown).hidden if count.slice in names]
    assert {count.quantity for count in counts} == {"events"}, "the rest of it is told: it passes"
    assert {count.at_least for count in counts} == {9}
    assert all(excess(count, *bounds[count.unknown].tolist()) > 0 for count in counts)
    assert "a=x&b" in pinned(shown)
    assert "a=x&b" not in pinned(crossed(replace(few, events=(20, 49))))


def test_few_events_of_hidden_cells_are_not_told_to_be_there_also_where_they_pass() -> None:
    """More of a slice than its shown part can have: told where at least k are so, and else not."""
    shown = crossed(ShownBand(events=(20, 49), than_rest="higher"))
    few = frozenset({(group_name("a=x", "b", everything=e), "failure") for e in (False, True)})
    assert "a=x&b" not in pinned(shown)
    assert "a=x&b" in pinned(replace(shown, from_zero=few))


def test_what_a_crossing_shows_neither_value_of_is_audited_where_it_does_not_pass() -> None:
    """The corner of two columns is hidden together, too."""
    shown = crossed(None)
    assert "a&b" not in {count.slice for count in audit_of(shown).hidden if count.metric is None}
    guarded = replace(shown, guarded=frozenset({corner_name(("a", "b"))}))
    assert "a&b" in {count.slice for count in audit_of(guarded).hidden if count.metric is None}


def test_nothing_fits_where_cells_contradict_each_other() -> None:
    """A part that is larger than the whole has no solution."""
    shown = table(cell(OVERALL, (20, 49)), cell("accent=us", (100, 199)))
    audit = audit_of(shown)
    assert LINEAR.least(audit.system, np.zeros(len(audit.system.lower))) is None


def _bounds(system: LinearSystem, place: int) -> tuple[float, float]:
    weights = np.zeros(len(system.lower))
    weights[place] = 1.0
    least, most = LINEAR.least(system, weights), LINEAR.least(system, -weights)
    assert least is not None
    assert most is not None
    return float(least[place]), float(most[place])


@pytest.mark.parametrize("seed", range(6))
def test_propagation_never_contradicts_linear_programs(seed: int) -> None:
    """Its bounds hold all that the programs can reach; a receiver finds no more than was audited.

    It finds less where rates and several sums work together.
    """
    turns = random_window(seed, 150 + 150 * seed)
    slices = ["c0", "c1"] + ["c0&c1"] * (seed % 2)
    disclosed = disclose(turns, slices=slices, k=10, linear=LINEAR)
    shown = ShownTable(cells={shown.slice: shown for shown in disclosed.cells}, k=10)
    audit = audit_of(shown)
    outer = propagate(audit.system)
    for count in audit.hidden[:: 1 + len(audit.hidden) // 12]:
        low, high = _bounds(audit.system, count.unknown)
        assert outer[count.unknown, 0] <= low + SLACK
        assert outer[count.unknown, 1] >= high - SLACK
    assert pinned_slices(disclosed.cells, 10, disclosed.hidden) == ()


@pytest.mark.parametrize("seed", range(6))
def test_no_hidden_count_of_a_random_window_is_told(seed: int) -> None:
    """By linear programs over all that is shown, every hidden count can be 0 and at least k."""
    turns = random_window(20 + seed, 60 + 200 * seed)
    disclosed = disclose(turns, slices=["c0", "c1", "c2"], k=10, linear=LINEAR)
    columns = frozenset() if disclosed.hidden else frozenset({"c0", "c1", "c2"})
    shown = ShownTable(
        cells={shown.slice: shown for shown in disclosed.cells},
        k=10,
        complete=columns,
        measured=frozenset({"m0"}),
    )
    audit = audit_of(shown)
    for count in audit.hidden:
        assert excess(count, *_bounds(audit.system, count.unknown)) == 0.0, count


@pytest.mark.parametrize(
    ("shown", "may"),
    [
        (cell("a=x", (100, 199)), True),
        (cell("a=x", (50, 199)), True),
        (cell("a=x", (200, 499)), False),
        (cell("a=x", (100, 199), (20, 49)), False),
        (cell("a=x", (100, 199), metrics={"failure": FewerThan(below=10)}), False),
    ],
)
def test_a_cell_that_is_out_is_known_again(shown: ShownCell, may: bool) -> None:  # noqa: FBT001
    """It is the cell that the turns give, or a wider form of it."""
    assert may_have_been(cell("a=x", (100, 199)), shown) is may
