"""Commands of runbooks are what a shell reads; open points are kept in order; policies by kind."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.documents.first_hour_view import SYMPTOMS
from relkit.documents.monitors_view import monitors_of
from relkit.documents.runbook_types import OpenPoints
from relkit.documents.runbook_view import READER_SETS, TURNS_NOW, command, exports_of
from relkit.documents.runbooks import AFTER_THE_FACT, KINDS, WORDED, read_policies
from relkit.incident.signals import SHIPPED_SIGNALS
from tests.conftest import ROOT

PROMETHEUS = """\
schema: relkit.slo/v1
name: served
objective: 99%
good: {prometheus: {bad: "errors_total", total: "turns_total"}}
"""


@given(st.lists(st.text(min_size=1).filter(lambda word: word not in READER_SETS)))
def test_a_shell_reads_the_words_that_were_meant(words: list[str]) -> None:
    """Whatever a word holds, it is one argument, and nothing is run by it."""
    assert shlex.split(command(*words)) == ["relkit", *words]


def test_what_the_reader_sets_is_left_to_the_shell() -> None:
    """It stands unquoted by relkit, and the line that sets it is asked for where it is used."""
    line = command("slo", "a b", "--telemetry", TURNS_NOW)
    assert line == "relkit slo 'a b' --telemetry \"$TURNS\""
    assert exports_of({"steps": [{"command": line}]}) == ("export TURNS=turns/",)
    assert exports_of({"steps": []}) == ()


def test_open_points_are_kept_once_and_in_order() -> None:
    """What is there is returned as it is."""
    points = OpenPoints()
    assert points.measured("3 ms", "latency") == "3 ms"
    assert points.measured(None, "churn") == "not measured"
    assert points.stated("", "owner") == "not stated"
    assert points.measured(None, "cost") == "not measured"
    assert points.measured(None, "churn") == "not measured"
    assert (points.not_measured, points.not_stated) == (["churn", "cost"], ["owner"])


def shipped() -> list[tuple[str, str]]:
    """Return the policies that relkit init writes."""
    paths = sorted((ROOT / "gates").glob("*.yaml"))
    return [(path.name, path.read_text(encoding="utf-8")) for path in paths]


def test_shipped_policies_are_monitors_by_kind() -> None:
    """Each with a command, and bounds in words; a gate's and a canary's are none."""
    policies = read_policies(shipped(), folder="gates")
    assert [policy.name for policy in policies.canaries] == ["rollout"]
    assert policies.unread == ()
    monitors = list(monitors_of(policies))
    assert [monitor.kind for monitor in monitors] == ["slo", "drift", "cost", "health", "capacity"]
    for monitor in monitors:
        assert shlex.split(monitor.command)[:3] == ["relkit", monitor.kind, monitor.name]
        assert all(what and bound for what, bound in monitor.parts)


def test_an_objective_of_a_server_asks_the_server() -> None:
    """Its events are not in telemetry."""
    (monitor,) = monitors_of(read_policies([("served.yaml", PROMETHEUS)], folder="gates"))
    assert monitor.command == 'relkit slo served --prometheus "$PROMETHEUS"'


@pytest.mark.parametrize("text", ["", "name: x\n", "schema: gate\n", "- 1\n"])
def test_a_file_of_no_kind_is_refused(text: str) -> None:
    """It could be the policy that everything hangs on, misspelt."""
    with pytest.raises(InvalidInput, match=r"lost\.yaml"):
        read_policies([("lost.yaml", text)], folder="gates")


def test_symptoms_name_signals_that_triage_has() -> None:
    """A signal that is renamed is renamed here, too."""
    names = {signal.name for signal in SHIPPED_SIGNALS}
    assert {name for symptom in SYMPTOMS for name in symptom.signals} <= names


def test_every_kind_has_a_template() -> None:
    """And those that are written of a yanked release are kinds."""
    folder = ROOT / "relkit" / "templates" / "documents"
    assert [kind for kind in WORDED if not (folder / f"runbook-{kind}.md.j2").is_file()] == []
    assert set(KINDS) >= AFTER_THE_FACT
