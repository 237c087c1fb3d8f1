"""``relkit safety abuse`` as a user types it: classes against their own hours, and no tenant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from tests.conftest import Workspace

NOW = ("--now", "2026-12-01T00:00:00Z")
START = datetime(2026, 11, 26, tzinfo=UTC)


def write(path: Path, *, spike: float = 1.0, days: int = 5, refused: float = 0.02) -> str:
    """Write turns of three tenants in two classes; ``acme`` has a spike in the last day."""
    rng = np.random.default_rng(1)
    rows = []
    for tenant, plan, calls in (("acme", "free", 25), ("beta", "free", 25), ("corp", "pro", 12)):
        for hour in range(days * 24):
            abused = tenant == "acme" and hour // 24 == days - 1 and hour % 24 in {10, 11}
            level = calls * (0.3 + np.sin(np.pi * (hour % 24) / 24) ** 2) * (spike if abused else 1)
            for call in range(rng.poisson(level)):
                at = START + timedelta(hours=hour, seconds=float(rng.uniform(0, 3400)))
                share = refused if abused else 0.02
                rows += [
                    {
                        "ts": at + timedelta(seconds=20 * turn),
                        "session": f"{tenant}-{hour}-{call}",
                        "turn_id": str(turn),
                        "ok": True,
                        "tenant": tenant,
                        "tenant_class": plan,
                        "refused": bool(rng.uniform() < share),
                        "cost": 0.01,
                        "currency": "USD",
                    }
                    for turn in range(3)
                ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_quiet_days_pass_and_a_spike_fails_without_a_name(workspace: Workspace) -> None:
    """The class has a pseudonym, the tenant no name at all, and the record is kept."""
    folder = workspace.folder
    quiet = write(folder / "quiet.parquet")
    said = workspace.relkit("safety", "abuse", "--telemetry", quiet, *NOW)
    assert (said.code, said.out.splitlines()[0]) == (0, "abuse: nothing"), said
    loud = write(folder / "loud.parquet", spike=8.0)
    said = workspace.relkit("safety", "abuse", "--telemetry", loud, *NOW)
    assert said.code == 1, said
    assert max(map(len, said.out.splitlines())) <= 80
    document = workspace.relkit("safety", "abuse", "--telemetry", loud, *NOW, "--json").document
    spikes = {spike["measure"]: spike for spike in document["spikes"]}
    assert set(spikes) == {"turns", "cost"}
    assert spikes["turns"]["from"][:13] == "2026-11-30T10"
    kept = list((folder / ".relkit" / "findings" / "abuse").rglob("*.json"))
    texts = [said.out, *(path.read_text(encoding="utf-8") for path in kept)]
    assert kept
    assert not [name for name in ("acme", "beta", "corp", "free") for text in texts if name in text]


def test_refusals_are_held_against_turns(workspace: Workspace) -> None:
    """Three turns of ten refused, where it was one of fifty, is a spike of refusals alone."""
    path = write(workspace.folder / "turns.parquet", refused=0.5)
    document = workspace.relkit("safety", "abuse", "--telemetry", path, *NOW, "--json").document
    assert [spike["measure"] for spike in document["spikes"]] == ["refusals"]


def test_policy_names_classes_and_a_gate_requires_the_look(workspace: Workspace) -> None:
    """Classes that a policy makes of tenants are called as it calls them; the check blocks."""
    folder = workspace.folder
    policy = folder / "abuse.yaml"
    policy.write_text(
        "schema: relkit.abuse/v1\nname: no-abuse\nclasses: {small: [acme, beta], large: [corp]}\n"
        "measures: [turns]\n",
        encoding="utf-8",
    )
    (folder / "gates" / "launch.yaml").write_text(
        "schema: relkit.gate/v1\nname: launch\nrequires: [no-abuse]\n", encoding="utf-8"
    )
    suite = workspace.recorded(lambda row: {"text": row["text"]})
    run = workspace.relkit("eval", suite, "--json").document["run"]
    for spike, code in ((1.0, 0), (8.0, 1)):
        path = write(folder / "turns.parquet", spike=spike)
        look = ("safety", "abuse", "--telemetry", path, "--policy", str(policy), *NOW)
        said = workspace.relkit(*look)
        assert said.code == code, said
        assert ("small" in said.out) == (spike > 1)
        assert workspace.relkit("gate", "launch", "--candidate", run).code == code


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--now", "2026-12-02T00:00:00Z"), 4, "before 2026-12-02"),
        ((*NOW, "--until", "2026-11-27T00:00:00Z"), 4, "nothing to compare with"),
        ((*NOW, "--since", "2026-12-03T00:00:00Z"), 2, "--since is not before the end"),
    ],
)
def test_without_days_before_or_lately_there_is_no_data(
    workspace: Workspace, options: tuple[str, ...], code: int, message: str
) -> None:
    """Telemetry that stopped, or that has no days before, is never "nothing"."""
    path = write(workspace.folder / "turns.parquet")
    said = workspace.relkit("safety", "abuse", "--telemetry", path, *options)
    assert said.code == code, said
    assert message in said.out + said.err


def test_new_class_and_no_class_are_no_data(workspace: Workspace) -> None:
    """A class without hours of its own cannot be judged; nor can turns without classes."""
    folder = workspace.folder
    table = pq.read_table(write(folder / "turns.parquet"))
    old = table.filter(
        [
            not (plan == "pro" and at < START + timedelta(days=4))
            for plan, at in zip(
                table["tenant_class"].to_pylist(), table["ts"].to_pylist(), strict=True
            )
        ]
    )
    pq.write_table(old, folder / "new.parquet")
    said = workspace.relkit("safety", "abuse", "--telemetry", str(folder / "new.parquet"), *NOW)
    assert said.code == 4, said
    assert "no hours of its own" in said.out
    pq.write_table(table.drop_columns(["tenant_class", "tenant"]), folder / "none.parquet")
    said = workspace.relkit("safety", "abuse", "--telemetry", str(folder / "none.parquet"), *NOW)
    assert said.code == 4, said
    assert 'no column "tenant_class"' in said.err
