"""What other systems read of a look at live traffic, and the check that a gate reads."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from relkit.adapters.decisions import FindingFiles
from relkit.attestation.checks import check_of, parse_check
from relkit.core.digests import sha256_bytes
from relkit.core.values import Named
from relkit.gate.types import Verdict
from relkit.monitoring.types import LiveCheck, LiveFinding
from relkit.report.github_view import finding_annotations, finding_summary
from relkit.report.junit_view import finding_junit

DIGEST = "sha256:" + "0" * 64

DRIFT = LiveFinding(
    kind="drift",
    policy=Named(name="inputs", digest=DIGEST),
    enforcement="enforce",
    verdict="drifted",
    gate_verdict="fail",
    reason="snr_db drifted in 3 windows in a row",
    created="2026-02-01T10:00:00Z",
    subject=None,
    checks=(
        LiveCheck(name="snr_db", verdict="fail", reason="PSI 0.31 | ::error"),
        LiveCheck(name="language", verdict="pass", reason="quiet"),
        LiveCheck(name="device", verdict="no_data", reason="too few rows", advisory=True),
    ),
    report={"verdict": "drifted"},
)


def test_every_check_is_a_test_case() -> None:
    """What fails is a failure, what is fine has nothing, what is advisory is skipped."""
    cases = ET.fromstring(finding_junit(DRIFT)).findall("testsuite/testcase")  # noqa: S314 - our own document
    children = {case.get("classname"): [child.tag for child in case] for case in cases}
    assert children == {
        "drift": ["failure", "system-out"],
        "snr_db": ["failure", "system-out"],
        "language": ["system-out"],
        "device": ["skipped", "system-out"],
    }


def test_shadow_is_never_red() -> None:
    """Nobody's build turns red by what is watched in shadow."""
    shadow = replace(DRIFT, enforcement="shadow")
    suite = ET.fromstring(finding_junit(shadow)).find("testsuite")  # noqa: S314 - our own document
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert not [line for line in finding_annotations(shadow) if line.startswith("::error")]
    assert "SHADOW, would be drifted" in finding_summary(shadow)


def test_github_reads_what_blocks_first() -> None:
    """The summary begins with the verdict and what blocks; data can end no table cell."""
    page = finding_summary(DRIFT)
    assert page.index("drift: drifted") < page.index("What blocks (1)") < page.index("The rest (2)")
    assert "PSI 0.31 |" not in page
    assert finding_annotations(DRIFT)[0] == (
        "::error title=relkit drift inputs::drift: drifted: snr_db drifted in 3 windows in a row"
    )


def test_a_summary_fits_its_limit() -> None:
    """However many checks there are, the page stays inside the limit and says what is hidden."""
    many = replace(DRIFT, checks=DRIFT.checks[:1] * 5000)
    page = finding_summary(many, limit=20_000)
    assert len(page.encode()) <= 20_000
    assert "more** are not shown here" in page


@pytest.mark.parametrize(
    ("enforcement", "word", "verdict"),
    [
        ("enforce", "pass", Verdict.PASS),
        ("enforce", "no_data", Verdict.NO_DATA),
        ("shadow", "pass", Verdict.INCONCLUSIVE),
        ("shadow", "fail", Verdict.INCONCLUSIVE),
    ],
)
def test_a_gate_reads_a_finding_as_a_check(
    tmp_path: Path, enforcement: str, word: str, verdict: Verdict
) -> None:
    """The check names the finding by digest, and what was seen in shadow never passes."""
    finding = replace(DRIFT, enforcement=enforcement, gate_verdict=word)  # type: ignore[arg-type]
    files = FindingFiles(tmp_path / "findings", tmp_path / "checks")
    path = files.write(finding, lambda digest: check_of(finding, digest, by="relkit drift"))
    check = parse_check((tmp_path / "checks" / "inputs.json").read_bytes(), source="inputs.json")
    assert (check.name, check.verdict) == ("inputs", verdict)
    assert check.finding == sha256_bytes(path.read_bytes())


def test_another_look_at_the_same_second_overwrites_nothing(tmp_path: Path) -> None:
    """Two findings of one time are two files, the same finding is one."""
    files = FindingFiles(tmp_path / "findings", tmp_path / "checks")
    other = replace(DRIFT, reason="something else")
    paths = [
        files.write(finding, lambda digest, f=finding: check_of(f, digest, by="x"))  # type: ignore[misc]
        for finding in (DRIFT, other, DRIFT)
    ]
    assert len(set(paths)) == 2
