"""What is sliced by is never a person, whichever command slices."""

from collections.abc import Callable
from typing import Any

import pytest

from relkit.core.errors import InvalidInput
from relkit.monitoring.cost.price_files import parse_cost_policy
from relkit.monitoring.slo.files import parse_slo

COST = "schema: relkit.cost/v1\nname: p\nmargin: 10%\nslices: [{column}]\n"
SLO = (
    "schema: relkit.slo/v1\nname: p\nobjective: 99%\nwindow: 30d\n"
    "good: {{rate: failed, is: false}}\nslices: [{column}]\n"
)


@pytest.mark.parametrize(("parse", "text"), [(parse_cost_policy, COST), (parse_slo, SLO)])
@pytest.mark.parametrize("column", ["speaker", "user_id", "caller", "device_uuid"])
def test_a_policy_slices_by_no_person(parse: Callable[..., Any], text: str, column: str) -> None:
    """Ids would stand in results and records that are shared."""
    with pytest.raises(InvalidInput, match="names persons") as refused:
        parse(text.format(column=column), source="p.yaml")
    assert "mapping:" in (refused.value.hint or "")
    assert parse(text.format(column="language"), source="p.yaml").slices == ("language",)
