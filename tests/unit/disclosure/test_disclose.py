"""What is shown of a window, pooled and hidden."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from relkit.adapters.linear import HighsBounds
from relkit.core.arrays import Codes
from relkit.core.errors import InvalidInput, NoData
from relkit.disclosure.disclose import disclose
from relkit.disclosure.types import FewerThan, ShownCell, ShownRate, WindowTurns

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


def test_nothing_can_be_shown_of_nobody() -> None:
    """A window without a turn is no data, and one of nine people is refused without its number."""
    with pytest.raises(NoData):
        disclose(window([]), slices=[], k=10, linear=LINEAR)
    with pytest.raises(InvalidInput, match="overall") as refused:
        disclose(window(group(9, 20)), slices=[], k=10, linear=LINEAR)
    assert "9" not in refused.value.message
