"""Whose sums a row of a signed decision holds: an attacker with the names, and the key at home."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relkit
from relkit.adapters.duckdb.results import DuckDBSlices
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.attestation.sums import decision_evidence
from relkit.gate.evidence import ClusterOrder, cluster_order
from relkit.gate.types import Rule
from relkit.statistics.estimates import sums_needed
from relkit.statistics.intervals import RateEvidence
from tests.conftest import Workspace
from tests.e2e.test_gate import spoilt, write_answers
from tests.result_rows import Row, make_rows, table_of

KEY = bytes(range(32))
RULES = (Rule(id="limit", metric="wer", max=0.5),)
CHANCE = 1 / np.sqrt(39)
"""The spread of a rank correlation of 40 places that have nothing to do with each other."""
POLICY = """\
schema: relkit.gate/v1
name: small
rules:
  - {id: limit, metric: wer, max: 0.5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a workspace with a policy of one limit and a run."""
    folder = tmp_path_factory.mktemp("order") / "workspace"
    write_scaffold(folder, scaffold_source())
    write_answers(folder, spoilt(7))
    (folder / "gates" / "small.yaml").write_text(POLICY, encoding="utf-8")
    relkit.evaluate("small", workspace=folder)
    return folder


def write_key(folder: Path, key: bytes) -> None:
    """Give a workspace this key."""
    path = folder / ".relkit" / "evidence.key"
    path.write_text(key.hex() + "\n", encoding="ascii")
    path.chmod(0o600)


def speakers() -> tuple[list[Row], dict[int, str]]:
    """Return results of 40 speakers, and what an attacker with the data knows: words to name."""
    rows = make_rows(5, 400, clusters=40)
    words: dict[str, int] = {}
    for row in rows:
        if row["unusable"] is None:
            if row["cluster"] not in words:
                row["hits"] += 1000 * (1 + len(words))
            spoken = row["hits"] + row["substitutions"] + row["deletions"]
            words[row["cluster"]] = words.get(row["cluster"], 0) + spoken
    return rows, {count: name for name, count in words.items()}


def listed(order: ClusterOrder | None) -> list[str]:
    """Return the speakers of a decision in the order of their numbers, by their words."""
    rows, names = speakers()
    with DuckDBSlices(table_of(rows), order=order) as slices:
        rates = RateEvidence(sums=slices.sums(["overall"], sums_needed(["wer"])))
    (table,) = decision_evidence(RULES, rates=rates).sums
    words = table.columns.index("words") + 2
    return [names[int(row[words])] for row in sorted(table.rows, key=lambda row: row[1])]


def correlation(first: list[str], second: list[str]) -> float:
    """Return Spearman's rank correlation of the places of the same names in two lists."""
    places = [second.index(name) for name in first]
    return float(np.corrcoef(np.arange(len(first)), places)[0, 1])


def decided(folder: Path) -> dict[str, Any]:
    """Decide, and return the predicate of the decision's file."""
    path = folder / "decision.json"
    run = next(path.name for path in (folder / ".relkit" / "runs").iterdir() if path.is_dir())
    relkit.gate("small", candidate=run, workspace=folder, decision=path)
    payload = b64decode(json.loads(path.read_text(encoding="utf-8"))["payload"])
    predicate: dict[str, Any] = json.loads(payload)["predicate"]
    return predicate


def test_the_old_numbers_were_the_ranks_of_the_names_and_the_new_ones_are_not() -> None:
    """Numbered by spelling a row is a name; under 200 keys a number says nothing of the name."""
    names = sorted(speakers()[1].values())
    assert len(names) == 40
    assert correlation(names, listed(None)) == pytest.approx(1.0)
    keyed = cluster_order(KEY, ("a",))
    assert listed(keyed) == sorted(names, key=keyed)
    keys = (cluster_order(bytes([i]) * 32, ("a",)) for i in range(200))
    told = [correlation(names, sorted(names, key=order)) for order in keys]
    assert abs(float(np.mean(told))) < 4 * CHANCE / np.sqrt(200)
    assert float(np.std(told)) == pytest.approx(CHANCE, rel=0.25)


def test_two_decisions_of_other_inputs_have_unlinked_orders() -> None:
    """Over 200 pairs of inputs the places in one order say nothing about those in the other."""
    names = sorted(speakers()[1].values())
    pairs = [
        [sorted(names, key=cluster_order(KEY, (policy, str(i)))) for policy in ("p", "q")]
        for i in range(200)
    ]
    linked = [correlation(first, second) for first, second in pairs]
    assert abs(float(np.mean(linked))) < 4 * CHANCE / np.sqrt(200)
    assert float(np.std(linked)) == pytest.approx(CHANCE, rel=0.25)


def test_a_gate_orders_clusters_by_the_key_and_its_inputs(folder: Path) -> None:
    """The same inputs give the same evidence; another key or another policy gives another order."""
    write_key(folder, KEY)
    first, again = decided(folder), decided(folder)
    assert first["evidence"] == again["evidence"]
    assert first["checks"] == again["checks"]
    write_key(folder, bytes(32))
    other_key = decided(folder)
    write_key(folder, KEY)
    path = folder / "gates" / "small.yaml"
    path.write_text(POLICY.replace("0.5", "0.6"), encoding="utf-8")
    other_policy = decided(folder)
    path.write_text(POLICY, encoding="utf-8")
    rows = [
        [row[1:] for row in each["evidence"]["parts"][0]["sums"][0]["rows"]]
        for each in (first, other_key, other_policy)
    ]
    assert rows[0] != rows[1] != rows[2] != rows[0]
    assert [check["observed"] for check in first["checks"]] == pytest.approx(
        [check["observed"] for check in other_key["checks"]]
    )


def test_a_decision_in_the_keyed_order_is_judged_again(workspace: Workspace) -> None:
    """Verify recomputes every check, and the key that the gate made is its owner's alone."""
    folder = workspace.folder
    write_answers(folder, spoilt(3))
    baseline = workspace.relkit("eval", "small", "--json").document["run"]
    write_answers(folder, spoilt(9))
    candidate = workspace.relkit("eval", "small", "--json").document["run"]
    said = workspace.relkit(
        "gate", "small", "--candidate", candidate, "--baseline", baseline, "--json"
    )
    assert said.code == 0, said.err
    assert (folder / ".relkit" / "evidence.key").stat().st_mode & 0o777 == 0o600
    path = folder / said.document["decision_file"]
    checked = workspace.relkit("verify", str(path), "--allow-unsigned", "--json")
    assert (checked.code, checked.document["valid"]) == (0, True)
    assert checked.document["recomputed"] == len(said.document["checks"])
