"""What is shown of a window, pooled and hidden."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from relkit.adapters.linear import HighsBounds
from relkit.core.arrays import Codes
from relkit.core.config import Profile
from relkit.core.errors import InvalidInput, NoData
from relkit.core.slices import slice_parts
from relkit.disclosure.audit import POOL_VALUE
from relkit.disclosure.disclose import disclose
from relkit.disclosure.names import IncidentPseudonyms, SharedNames
from relkit.disclosure.numbers import is_band
from relkit.disclosure.thresholds import fewest_people
from relkit.disclosure.types import FewerThan, ShownCell, ShownRate, WindowTurns
from tests.window_data import failing_window, random_window

LINEAR = HighsBounds()


def window(
    people: Sequence[tuple[int, Mapping[str, str], int]], metrics: Sequence[str] = ("failure",)
) -> WindowTurns:
    """Return turns of people: how many each has, their values by column, how many are events."""
    columns = sorted({column for _, values, _ in people for column in values})
    persons = np.repeat(np.arange(len(people)), [turns for turns, _, _ in people])
    codes = {}
    for column in columns:
        names = tuple(sorted({values[column] for _, values, _ in people if column in values}))
        place = {name: code for code, name in enumerate(names)}
        by_person = np.array(
            [place[values[column]] if column in values else -1 for _, values, _ in people],
            dtype=np.int32,
        )
        codes[column] = Codes(codes=by_person[persons], names=names)
    flags = np.concatenate(
        [np.arange(turns) < events for turns, _, events in people] or [np.zeros(0, dtype=np.bool_)]
    ).astype(np.int8)
    return WindowTurns(
        persons=persons.astype(np.int64), columns=codes, flags=dict.fromkeys(metrics, flags)
    )


def group(
    people: int, turns: int, events: int = 0, **values: str
) -> list[tuple[int, Mapping[str, str], int]]:
    """Return so many people with so many turns each."""
    return [(turns, values, events)] * people


def by_slice(cells: Sequence[ShownCell]) -> dict[str, ShownCell]:
    """Return cells by their slice."""
    return {cell.slice: cell for cell in cells}


def test_a_column_is_shown_beside_the_whole_window() -> None:
    """Values of enough people are shown in bands, with a rate where there is an interval."""
    rng = np.random.default_rng(1)
    people = [
        *((20, {"accent": "american"}, int(n)) for n in rng.binomial(20, 0.05, 60)),
        *((20, {"accent": "scottish"}, int(n)) for n in rng.binomial(20, 0.3, 30)),
    ]
    shown = by_slice(disclose(window(people), slices=["accent"], k=10, linear=LINEAR).cells)
    assert list(shown) == ["overall", "accent=american", "accent=scottish"]
    assert shown["accent=american"].people == (50, 99)
    assert shown["accent=american"].utterances == (1000, 1999)
    bad, good = (shown[f"accent={name}"].metrics["failure"] for name in ("scottish", "american"))
    assert isinstance(bad, ShownRate)
    assert isinstance(good, ShownRate)
    assert bad.low > good.high


def test_values_that_do_not_pass_are_pooled() -> None:
    """Two values of six people each are one cell, and the names of both stay at home."""
    people = [
        *group(40, 20, accent="american"),
        *group(6, 20, accent="scottish"),
        *group(6, 20, accent="welsh"),
    ]
    disclosed = disclose(window(people), slices=["accent"], k=10, linear=LINEAR)
    assert [cell.slice for cell in disclosed.cells] == [
        "overall",
        "accent=american",
        "accent=(other)",
    ]
    assert disclosed.pooled == ("accent=scottish", "accent=welsh")
    assert disclosed.hidden == 0
    assert disclosed.cells[0].metrics["failure"] == FewerThan(below=10)


def test_a_pool_that_does_not_pass_takes_no_other_value_with_it() -> None:
    """The value of three people is hidden, and every other one stays as it was."""
    people = [*group(40, 20, accent="american"), *group(3, 20, accent="welsh")]
    disclosed = disclose(window(people), slices=["accent"], k=10, linear=LINEAR)
    assert [cell.slice for cell in disclosed.cells] == ["overall", "accent=american"]
    assert disclosed.hidden == 1


def test_how_many_values_are_hidden_is_not_told() -> None:
    """Two values that somebody has look like one: else the number would prove each of them."""
    shown = [
        disclose(window(people), slices=["accent", "device"], k=10, linear=LINEAR)
        for people in (
            [*group(40, 20, accent="american", device="a"), *group(4, 20, accent="b", device="a")],
            [
                *group(40, 20, accent="american", device="a"),
                *group(2, 20, accent="b", device="a"),
                *group(2, 20, accent="c", device="d"),
            ],
        )
    ]
    assert shown[0].hidden == shown[1].hidden == 2, "the pools of both columns"


def test_nothing_can_be_shown_of_nobody() -> None:
    """A window without a turn is no data, and one of nine people is refused without its number."""
    with pytest.raises(NoData):
        disclose(window([]), slices=[], k=10, linear=LINEAR)
    with pytest.raises(InvalidInput, match="overall") as refused:
        disclose(window(group(9, 20)), slices=[], k=10, linear=LINEAR)
    assert "9" not in refused.value.message


@pytest.mark.parametrize("seed", range(10))
def test_the_failing_slice_of_a_simulated_incident_is_shown_with_its_rate(seed: int) -> None:
    """Six hours of 500 turns: it stands above every other value, and small ones do not hide it."""
    disclosed = disclose(failing_window(seed), slices=["accent", "device"], k=10, linear=LINEAR)
    rates = {
        cell.slice: cell.metrics["failure"]
        for cell in disclosed.cells
        if cell.slice.startswith("accent=")
    }
    failing = rates["accent=scottish"]
    assert isinstance(failing, ShownRate)
    others = [rate for rate in rates.values() if rate is not failing]
    assert any(isinstance(rate, ShownRate) for rate in others)
    assert all(rate.value < failing.value for rate in others if isinstance(rate, ShownRate))


def test_the_same_window_is_the_same_and_a_column_more_only_adds_cells() -> None:
    """What is out stays as it is, in bands, rates and percentiles."""
    turns = random_window(3, 400)
    first = disclose(turns, slices=["c0"], k=10, linear=LINEAR)
    again = disclose(turns, slices=["c0"], k=10, linear=LINEAR, earlier=first)
    assert (again.cells, again.percentiles) == (first.cells, first.percentiles)
    assert disclose(turns, slices=["c0"], k=10, linear=LINEAR) == first
    more = disclose(turns, slices=["c0", "c1", "c0&c1"], k=10, linear=LINEAR, earlier=first)
    assert all(cell in more.cells for cell in first.cells)
    assert len(first.cells) < len(more.cells)
    assert set(first.percentiles) < set(more.percentiles)
    fewer = disclose(turns, slices=["c1"], k=10, linear=LINEAR, earlier=more)
    assert by_slice(fewer.cells) == by_slice(more.cells), "nothing that is out is taken back"


def test_other_turns_of_a_window_that_is_out_are_refused() -> None:
    """A second view that differs would tell by which turns."""
    first = disclose(random_window(3, 400), slices=["c0"], k=10, linear=LINEAR)
    with pytest.raises(InvalidInput, match="changed since"):
        disclose(random_window(4, 400), slices=["c0"], k=10, linear=LINEAR, earlier=first)


def test_turns_in_another_order_give_the_same_cells() -> None:
    """Neither the order of turns nor the numbers of people or values show."""
    turns = random_window(5, 300)
    order = np.random.default_rng(1).permutation(len(turns))
    shuffled = WindowTurns(
        persons=(turns.persons.max() - turns.persons)[order],
        columns={
            name: Codes(
                codes=np.where(column.codes < 0, -1, 5 - column.codes)[order].astype(np.int32),
                names=column.names[::-1],
            )
            for name, column in turns.columns.items()
        },
        flags={name: flags[order] for name, flags in turns.flags.items()},
        quantities={name: values[order] for name, values in turns.quantities.items()},
    )
    slices = ["c0", "c1", "c1&c2"]
    disclosed, other = (
        disclose(each, slices=slices, k=10, linear=LINEAR) for each in (turns, shuffled)
    )
    assert disclosed.cells == other.cells
    assert disclosed.percentiles == other.percentiles
    assert disclosed.hidden == other.hidden


@pytest.mark.parametrize("seed", range(5))
def test_crossed_cells_are_shown_where_both_values_are(seed: int) -> None:
    """A cell of the crossing stands beside the cells of its two columns, never of a pool."""
    disclosed = disclose(random_window(seed, 800), slices=["c0&c1"], k=10, linear=LINEAR)
    shown = by_slice(disclosed.cells)
    crossed = [key for key in shown if "&" in key]
    assert crossed
    for key in crossed:
        assert all(part in shown and POOL_VALUE not in part for part in key.split("&"))


@pytest.mark.parametrize("profile", ["default", "health"])
def test_people_of_a_cell_are_at_least_k(profile: Profile) -> None:
    """Every shown cell has k people and ten turns, and the numbers of a cell are legal."""
    k = fewest_people(profile, "user")
    turns = random_window(7, 150)
    disclosed = disclose(turns, slices=["c0", "c1", "c2"], k=k, linear=LINEAR)
    for cell in disclosed.cells:
        assert is_band(cell.people)
        assert is_band(cell.utterances)
        for column, value in slice_parts(cell.slice):
            if value != POOL_VALUE:
                codes = turns.columns[column]
                inside = codes.codes == codes.names.index(value)
                assert len(np.unique(turns.persons[inside])) >= k


def test_turns_without_a_value_are_pooled() -> None:
    """A column that half of the turns do not have shows them as other, and not as a value."""
    people = [*group(30, 20, accent="american"), *group(30, 20)]
    disclosed = disclose(window(people), slices=["accent"], k=10, linear=LINEAR)
    assert [cell.slice for cell in disclosed.cells][1:] == ["accent=american", "accent=(other)"]
    assert disclosed.pooled == ()


def test_values_and_columns_go_by_their_shared_names() -> None:
    """A name that is not shared is a pseudonym in every cell, and the pool keeps its own."""
    names = SharedNames(
        {"accent": frozenset({"american"})}, IncidentPseudonyms(key=bytes(range(32)))
    )
    people = [
        *group(30, 20, accent="american", team="red"),
        *group(30, 20, accent="scottish", team="blue"),
    ]
    disclosed = disclose(
        window(people), slices=["accent", "team"], k=10, linear=LINEAR, names=names
    )
    text = " ".join(cell.slice for cell in disclosed.cells)
    assert "accent=american" in text
    assert not any(name in text for name in ("scottish", "team", "red", "blue"))
    assert len(disclosed.cells) == 5


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["nowhere"], "nowhere: is no column"),
        (["c0&c1", "c1&c2"], "at most one crossing"),
        (["c0&c1&c2"], "at most one crossing"),
    ],
)
def test_what_cannot_be_cut_is_refused(slices: list[str], message: str) -> None:
    """Unknown columns, a second crossing and one of three columns."""
    with pytest.raises(InvalidInput, match=message):
        disclose(random_window(1, 100), slices=slices, k=10, linear=LINEAR)


def test_one_person_who_makes_most_of_the_window_hides_it() -> None:
    """The whole is refused where one person's turns are its turns."""
    with pytest.raises(InvalidInput, match="overall"):
        disclose(window([*group(20, 1), *group(1, 400)]), slices=[], k=10, linear=LINEAR)
