"""``relkit triage`` as a user types it: from telemetry and ledgers to verdict and exit code."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet as pq

from relkit.incident.simulation.kinds import incident
from relkit.wiring.simulation import simulate_incident
from tests.conftest import Said, Workspace

NOW = ("--now", "2026-01-15T00:00:00Z")


@cache
def made(kind: str, turns_per_hour: float = 300.0) -> Path:
    """Return the folder of an incident, written once."""
    folder = Path(mkdtemp(prefix="relkit-triage-")) / kind
    simulate_incident(
        folder, incident(kind, seed=1, turns_per_hour=turns_per_hour), lambda _done, _all: None
    )
    return folder


def triage(
    capsys: pytest.CaptureFixture[str], kind: str, *options: str, folder: Path | None = None
) -> Said:
    """Run triage over an incident, in its own workspace or another."""
    place = made(kind)
    return Workspace(folder or place, capsys).relkit(
        "triage", "--telemetry", str(place / "telemetry"), *NOW, *options
    )


def answer_of(kind: str) -> dict[str, Any]:
    """Return what is right to say."""
    answer: dict[str, Any] = json.loads((made(kind) / "answer.json").read_text(encoding="utf-8"))
    return answer


def test_a_bad_release_is_named_with_its_slice_and_where_to_go_back_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The verdict comes first, at 80 columns, with a command that can be run as it stands."""
    said = triage(capsys, "accent")
    assert said.code == 1, said
    assert said.out.startswith("RELEASE TO BLAME: asr 2.4\n")
    assert "accent=scottish" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    report = triage(capsys, "accent", "--json").document
    right = answer_of("accent")
    assert report["verdict"] == "release"
    assert report["evidence"] == "concurrent"
    for key in ("component", "first_bad", "target"):
        assert report[key] == right[key]
    assert report["target_verified"] is True
    words = str(report["command"]).removeprefix("relkit ").removesuffix(" --apply").split()
    place = Workspace(made("accent"), capsys)
    assert place.relkit(*words, "--json").document["target"] == right["target"]


def test_telemetry_alone_gives_a_target_that_is_not_verified(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without a ledger the history is that of the columns, and no gate speaks for the target."""
    report = triage(capsys, "accent", "--json", folder=tmp_path).document
    right = answer_of("accent")
    assert report["verdict"] == "release"
    assert (report["component"], report["first_bad"]) == (right["component"], right["first_bad"])
    assert report["target"] == right["target"]
    assert report["target_verified"] is False


def test_an_outage_is_no_release(capsys: pytest.CaptureFixture[str]) -> None:
    """Failures with upstream codes in the middle of a canary are the dependency's."""
    said = triage(capsys, "dependency-outage-in-canary")
    assert said.code == 3, said
    assert said.out.startswith("NO RELEASE IS TO BLAME: dependency\n")


def test_nothing_is_wrong_says_what_was_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A quiet week exits 0, and the report that is written is the one that is shown."""
    out = tmp_path / "report.json"
    said = triage(capsys, "quiet", "--out", str(out))
    assert said.code == 0, said
    assert "the last 2 days compared with the 6 days before" in " ".join(said.out.split())
    assert json.loads(out.read_text(encoding="utf-8"))["verdict"] == "nothing"


def with_somebody_abusive(folder: Path, to: Path) -> None:
    """Copy the telemetry of an incident, with one person's failed turns on a canary of the LLM."""
    files = sorted((folder / "telemetry").glob("*.parquet"))
    table = pa.concat_tables(pq.read_table(path) for path in files)
    canary = table.filter(pc.equal(table["release_llm"], "3.2")).sort_by("ts").slice(40, 160)
    people = {
        "user": canary["user"][0],
        "ok": pa.scalar(value=False),
        "outcome": pa.scalar("failed"),
        "error_code": pa.scalar("internal"),
    }
    for name, value in people.items():
        repeated = pa.array([value.as_py()] * canary.num_rows, canary.schema.field(name).type)
        canary = canary.set_column(canary.schema.get_field_index(name), name, repeated)
    ids = pa.array([f"again-{i}" for i in range(canary.num_rows)])
    ids = ids.cast(canary.schema.field("turn_id").type)
    canary = canary.set_column(canary.schema.get_field_index("turn_id"), "turn_id", ids)
    to.mkdir()
    pq.write_table(pa.concat_tables([table, canary]), to / "turns.parquet")


def test_one_person_does_not_make_a_release_to_blame(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Somebody who fails again and again on a canary is left out before the canary is blamed."""
    with_somebody_abusive(made("nothing"), tmp_path / "turns")
    said = Workspace(tmp_path, capsys).relkit(
        "triage", "--telemetry", str(tmp_path / "turns"), *NOW, "--json"
    )
    report = said.document
    assert said.code == 3, said
    assert report["verdict"] == "undetermined"
    assert "without them llm 3.2 is not to blame" in report["reason"]
