"""What DuckDB says that calls cost is what the rules say of each call."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relkit.adapters.duckdb.cost import ArmUsageReader, arm_usage
from relkit.adapters.duckdb.turns import TurnTable
from relkit.core.errors import InvalidInput
from relkit.monitoring.cost.effects import amount_of
from relkit.monitoring.cost.price_files import parse_cost_policy, parse_prices
from relkit.monitoring.cost.prices import Usage, WithoutPrice, price_book, price_call
from relkit.monitoring.cost.types import ArmUsage, ComponentModel, CostPolicy, TurnChoice
from relkit.telemetry.types import TelemetryOptions
from tests.cost_data import NOW, POLICY, PRICES, Call, call, calls, write_calls

BOOK = price_book({"prices.yaml": parse_prices(PRICES, source="prices.yaml")})
COST = parse_cost_policy(POLICY, source="cost.yaml")


def usage(path: Path, rows: list[Call], policy: CostPolicy = COST) -> ArmUsage:
    """Return what calls used."""
    files = (str(write_calls(path / "calls.jsonl", rows)),)
    return ArmUsageReader(TurnTable)("baseline", files, policy, BOOK, NOW)


def of_call(row: Call) -> Usage:
    """Return the usage of a call."""
    return Usage(
        input=row["input_tokens"],  # type: ignore[arg-type]
        output=row["output_tokens"],  # type: ignore[arg-type]
        cache_read=row.get("cache_read_tokens"),  # type: ignore[arg-type]
        reasoning=row.get("reasoning_tokens"),  # type: ignore[arg-type]
        audio_in_s=row.get("audio_in_s"),  # type: ignore[arg-type]
        characters=row.get("tts_chars"),  # type: ignore[arg-type]
    )


TOKENS = st.none() | st.integers(0, 2000)
CALLS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["mini", "large", "ears", "mouth", "other", None]),
        "language": st.sampled_from(["en", "ta", None]),
        "input_tokens": TOKENS,
        "output_tokens": TOKENS,
        "cache_read_tokens": st.none() | st.integers(0, 50),
        "reasoning_tokens": st.none() | st.integers(0, 20),
        "audio_in_s": st.none() | st.integers(0, 90_000).map(lambda ms: ms / 1000),
        "tts_chars": TOKENS,
        "ts": st.sampled_from(["2026-11-10T10:00:00Z", "2026-10-31T23:59:59Z"]),
    }
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[*HealthCheck], phases=[Phase.generate]
)
@given(drawn=st.lists(CALLS, min_size=20, max_size=40))
def test_the_database_agrees_with_the_rules(drawn: list[Call], tmp_path: Path) -> None:
    """Call by call the same cost to the last digit, or the same reason why there is none."""
    rows = [call("b", number, **columns) for number, columns in enumerate(drawn)]
    counted = usage(tmp_path, [call("b", 99), *rows], replace(COST, usage="inclusive"))
    expected = [
        price_call(BOOK, row["model"], str(row["ts"])[:10], of_call(row))  # type: ignore[arg-type]
        for row in (call("b", 99), *rows)
    ]
    costs = [cost for cost in expected if isinstance(cost, Fraction)]
    assert amount_of(counted.groups, BOOK) == sum(costs)
    assert counted.priced == len(costs)
    reasons: dict[tuple[object, ...], int] = {}
    for row, cost in zip([call("b", 99), *rows], expected, strict=True):
        if isinstance(cost, WithoutPrice):
            key = (row["model"], cost.code, cost.unit)
            reasons[key] = reasons.get(key, 0) + 1
    assert counted.unpriced == reasons


def test_a_call_changes_the_cost_of_no_other(tmp_path: Path) -> None:
    """The costs of any two parts add up to that of the whole."""
    rows = calls("b", 60)
    parts = [usage(tmp_path, part) for part in (rows[:17], rows[17:], rows)]
    amounts = [amount_of(part.groups, BOOK) for part in parts]
    assert amounts[0] + amounts[1] == amounts[2]


def test_sums_by_slice_and_session(tmp_path: Path) -> None:
    """Every session stands once in the whole and once in its slice; the sums agree."""
    rows = calls("b")
    counted = usage(tmp_path, rows)
    sums = counted.sums
    assert sums.slices == ("overall", "language=en", "language=ta")
    assert np.bincount(sums.slice_index).tolist() == [80, 60, 20]
    cost = sums.columns["cost"]
    assert cost[:80].sum() == pytest.approx(float(amount_of(counted.groups, BOOK)))
    assert cost[80:].sum() == pytest.approx(cost[:80].sum())
    assert sums.columns["call"][:80].sum() == len(rows)
    assert sums.columns["audio_minute"][:80].sum() == pytest.approx(240 * 7.5 / 60)
    assert counted.success == (53, 27, 0)
    assert counted.words["en"].words == sum(r["words"] for r in rows if r["language"] == "en")  # type: ignore[misc]


def test_net_input_is_recognised_by_its_source(tmp_path: Path) -> None:
    """Where more tokens are cached than counted, the source leaves them out; others do not."""
    rows = calls("b", 60)
    net = [
        row
        | {"provider": "net", "input_tokens": int(row["input_tokens"]) - 100, "turn_id": f"n{i}"}  # type: ignore[call-overload]
        for i, row in enumerate(rows)
    ]
    net[0] |= {"input_tokens": 50, "cache_read_tokens": 450}
    gross = [*rows, *[row | {"turn_id": f"n{i}"} for i, row in enumerate(rows)]]
    gross[60] |= {"input_tokens": 500, "cache_read_tokens": 450}
    counted = usage(tmp_path, [*rows, *net])
    assert counted.net == ("large",)
    assert counted.priced == 120
    expected = usage(tmp_path, gross)
    assert expected.net == ()
    per_model = {
        key: sum(float(amount_of([g], BOOK)) for g in arm.groups if g.group[0] == "large")
        for key, arm in (("net", counted), ("gross", expected))
    }
    assert per_model["net"] == pytest.approx(per_model["gross"])


def test_a_single_contradiction_is_no_rule_about_its_source(tmp_path: Path) -> None:
    """One call of very many that counts more cached than all tokens has no price itself."""
    rows = calls("b", 600)
    rows[0] |= {"cache_read_tokens": 5000}
    counted = usage(tmp_path, rows)
    assert counted.net == ()
    assert counted.unpriced == {("large", "contradiction", "input"): 1}


def test_speech_has_models_of_its_own(tmp_path: Path) -> None:
    """Recogniser and voice are paid besides the model: by a name, or by a column."""
    rows = [row | {"voice": "mouth"} for row in calls("b", 30)]
    spoken = replace(
        COST,
        components={"stt": ComponentModel(model="ears"), "tts": ComponentModel(column="voice")},
    )
    alone, together = usage(tmp_path, rows), usage(tmp_path, rows, spoken)
    more = amount_of(together.groups, BOOK) - amount_of(alone.groups, BOOK)
    assert more == 30 * (Fraction("4.5") / 60 * Fraction("0.0043") + 80 * Fraction("6.5e-5"))
    assert alone.silent == ("second", "character")
    assert together.silent == ()
    rows[0] |= {"voice": "nobody"}
    counted = usage(tmp_path, rows, spoken)
    assert counted.unpriced == {("nobody", "unknown_model", None): 1}
    with pytest.raises(InvalidInput, match='no column "vioce"'):
        usage(tmp_path, rows, replace(COST, components={"tts": ComponentModel(column="vioce")}))


def test_turns_of_one_model_need_no_column(tmp_path: Path) -> None:
    """Where the files name no model, the policy may."""
    rows = [row | {"model": "mini"} for row in calls("b", 30)]
    plain = [{name: value for name, value in row.items() if name != "model"} for row in rows]
    with pytest.raises(InvalidInput, match="no column model"):
        usage(tmp_path, plain)
    named = replace(COST, components={"llm": ComponentModel(model="mini")})
    assert usage(tmp_path, plain, named).groups == usage(tmp_path, rows).groups


def test_a_turn_that_was_broken_off_called_nobody(tmp_path: Path) -> None:
    """No model and no tokens are nothing to pay there, and missing everywhere else."""
    spoken = replace(COST, components={"tts": ComponentModel(model="mouth")})
    gone: Call = {"model": None, "input_tokens": None, "output_tokens": None, "tts_chars": None}
    rows = calls("b", 30)
    for outcome, unpriced in (
        ("abandoned", {}),
        ("interrupted", {}),
        ("failed", {(None, "no_model", None): 1}),
        ("completed", {(None, "no_model", None): 1}),
        (None, {(None, "no_model", None): 1}),
    ):
        rows[0] |= gone | {"outcome": outcome}
        assert usage(tmp_path, rows, spoken).unpriced == unpriced
    rows[0] = call("b", 0, tts_chars=None)
    assert usage(tmp_path, rows, spoken).unpriced == {("mouth", "no_usage", "character"): 1}
    rows[0] |= {"outcome": "failed"}
    assert usage(tmp_path, rows, spoken).unpriced == {}


def test_billed_cost_counts_before_a_price(tmp_path: Path) -> None:
    """It is summed exactly, in its own currency, and refused in two."""
    rows = [row | {"cost": 0.1, "currency": "USD"} for row in calls("b", 30)]
    counted = usage(tmp_path, rows)
    assert (counted.billed, amount_of(counted.groups, BOOK)) == (30, Fraction(3))
    rows[3] |= {"currency": "EUR"}
    with pytest.raises(InvalidInput, match="costs in EUR and USD together"):
        usage(tmp_path, rows)
    rows[3] |= {"currency": None}
    assert usage(tmp_path, rows).unpriced == {("mini", "no_currency", None): 1}
    assert usage(tmp_path, rows, replace(COST, currency="USD")).priced == 30
    assert usage(tmp_path, rows, replace(COST, billed=False)).billed == 0


def test_files_that_hold_both_arms_are_split_by_the_policy(tmp_path: Path) -> None:
    """An arm's turns are those of its release, or of the column ``arm``; others are not counted."""
    rows = [
        row | {"arm": arm, "release": release}
        for arm, release in (("control", "1.4"), ("canary", "1.5"))
        for row in calls(arm, 30)
    ]
    for choice in (TurnChoice(arm="control"), TurnChoice(release="1.4")):
        counted = usage(tmp_path, rows, replace(COST, baseline=choice))
        assert (counted.calls, counted.sessions) == (30, 10)
    assert usage(tmp_path, rows, replace(COST, baseline=TurnChoice(release="9"))).calls == 0


def test_files_threads_and_order_change_nothing(tmp_path: Path) -> None:
    """The same calls in two files, backwards, on one thread or two are the same usage."""
    rows = calls("b")
    first = write_calls(tmp_path / "1.jsonl", rows[::-1][:100])
    second = write_calls(tmp_path / "2.jsonl", rows[::-1][100:])
    groups = {g.group: g for g in usage(tmp_path, rows).groups}
    for threads in (1, 2):
        options = TelemetryOptions(paths=(str(first), str(second)), now=NOW)
        with TurnTable(options, threads=threads) as table:
            counted = arm_usage(table, COST, BOOK)
        assert {g.group: g for g in counted.groups} == groups
