"""Which versions there are by ledgers and telemetry, where they contradict, and the way back."""

import pytest

from relkit.core.errors import UsageError
from relkit.core.values import after
from relkit.incident.served import (
    LedgerModel,
    TriageLedgers,
    contradiction_of,
    read_ledgers,
    release_columns,
    with_target,
)
from relkit.incident.types import BIN_S
from relkit.registry.types import EventKind, ReleaseEvent
from tests.incident_data import ONSET, START, counted_turns, triage_report
from tests.release_data import event
from tests.unit.incident.test_triage import half

AT_ONSET = after(START, ONSET * BIN_S)


class Columns:
    """Implements the part of IncidentTurns that names releases."""

    def __init__(self, **seen: tuple[str, ...]) -> None:
        """Take the values of each column in the order of first appearance."""
        self.seen = seen

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns, and one that is none of a release."""
        return (*self.seen, "region")

    def versions(self, column: str, *, before: int) -> tuple[str, ...]:
        """Return what was given."""
        assert before == 9
        return self.seen[column]


def model(*events: ReleaseEvent, component: str = "llm") -> LedgerModel:
    """Return a component with its ledger."""
    return LedgerModel(model=f"assistant-{component}", component=component, events=events)


def served(version: str, at: str = AT_ONSET) -> ReleaseEvent:
    """Return the event since when a version has half of the traffic."""
    return event(EventKind.CANARY, version, at=at, traffic=0.5)


def test_the_ledger_orders_versions_and_the_telemetry_fills_in() -> None:
    """What no ledger has stands after what was seen before it."""
    turns = Columns(release_llm=("1", "hot-fix", "2"))
    ledgers = TriageLedgers(models=(model(served("2"), served("1")),))
    column = release_columns(turns, ledgers, 9)["llm"]  # type: ignore[arg-type]  # a part of it
    assert column.order == ("2", "1", "hot-fix")
    alone = release_columns(turns, TriageLedgers(), 9)["llm"]  # type: ignore[arg-type]  # as above
    assert alone.order == ("1", "hot-fix", "2")


def test_a_column_of_stacks_is_read_by_their_pins() -> None:
    """Each component has the versions that the stacks pinned."""
    ledgers = TriageLedgers(
        models=(model(served("1"), served("2")),),
        stacks={"s1": {"assistant-llm": "1"}, "s2": {"assistant-llm": "2"}},
    )
    columns = release_columns(Columns(release=("s1", "s2", "s3")), ledgers, 9)  # type: ignore[arg-type]  # as above
    assert columns["llm"].order == ("1", "2")
    assert columns["llm"].versions == {"s1": "1", "s2": "2"}


def test_a_release_of_no_component_can_cause_everything() -> None:
    """Without ledger or component columns the release is its own component."""
    columns = release_columns(Columns(release=("1", "2")), TriageLedgers(), 9)  # type: ignore[arg-type]  # as above
    assert list(columns) == ["release"]


def test_a_model_without_a_workspace_is_a_usage_error() -> None:
    """The name can only be one of a registry."""
    with pytest.raises(UsageError, match="no workspace"):
        read_ledgers("asr", None)
    assert read_ledgers(None, None) == TriageLedgers()


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((served("1"),), "does not know 2"),
        ((served("1"), event(EventKind.REGISTERED, "2")), "never had traffic"),
        ((served("1"), served("2", at=after(AT_ONSET, 7200))), "115 minutes before the ledger"),
    ],
    ids=["unknown", "never served", "served later"],
)
def test_a_ledger_that_contradicts_the_telemetry_blames_nobody(
    events: tuple[ReleaseEvent, ...], words: str
) -> None:
    """It says what the one has and the other has not."""
    counts = counted_turns(shares={"llm": half})
    problem = contradiction_of(counts, (model(*events),), "llm", "2")
    assert problem is not None
    assert "contradicts the telemetry" in problem
    assert words in problem


def test_a_ledger_that_agrees_is_no_problem() -> None:
    """Nor is one of another component."""
    counts = counted_turns(shares={"llm": half})
    assert contradiction_of(counts, (model(served("2")),), "llm", "2") is None
    assert contradiction_of(counts, (model(component="asr"),), "llm", "2") is None


def test_without_a_ledger_the_newest_that_held_the_traffic_is_the_target() -> None:
    """It is marked as unverified; without blame there is none."""
    counts = counted_turns(shares={"llm": half})
    blamed = triage_report(verdict="release", component="llm", first_bad="2")
    report = with_target(blamed, counts, (), None)
    assert (report.target, report.target_verified) == ("1", False)
    open_ = triage_report(verdict="undetermined", component="llm", first_bad="2")
    assert with_target(open_, counts, (), None).target is None
    first = triage_report(verdict="release", component="llm", first_bad="1")
    assert with_target(first, counts, (), None).target is None
