"""The auditors' verifier: apart from relkit, of the same opinion, and not to be fooled."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.attestation import auditor
from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.core.digests import canonical, digest_of
from relkit.core.metrics import metric_of
from relkit.statistics.distributions import t_quantile
from relkit.statistics.families import packed_flips
from relkit.statistics.rates import RATE_METRICS
from tests.decisions import (
    ADVISORY,
    LATER,
    NEW_NOISE,
    before_discoveries,
    new_key,
    signed,
    statement,
)

SOURCE = Path(auditor.__file__)


class _AnyKey:
    """Stands for a signature that is good: these tests are about what is inside."""

    def verify(self, signature: bytes, message: bytes) -> None:
        """Accept."""


KEYS = {"k": _AnyKey()}
WANTED = {"now": auditor.moment(LATER), "serial": None, "artifact": None, "policy": None}


def audited(payload: bytes) -> tuple[list[str], auditor.Audit | None]:
    """Return what the auditor says about a payload."""
    document = json.loads(render_envelope(Envelope(payload=payload)))
    document["signatures"] = [{"keyid": "k", "sig": "AAAA"}]
    return auditor.audit(json.dumps(document).encode(), KEYS, WANTED)


def payload_of(**arguments: Any) -> bytes:  # noqa: ANN401 - those of statement()
    """Return the payload of a decision."""
    return parse_envelope(signed(statement(**arguments)), source="d.json").payload


def test_it_needs_nothing_but_python_and_cryptography() -> None:
    """An auditor copies one file."""
    names = set()
    for node in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"cryptography", "numpy"}


def test_numpy_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing the same flips are added up in plain Python."""
    payload = payload_of(seed=2, worse=3.0)
    quick = audited(payload)[1]
    monkeypatch.setitem(sys.modules, "numpy", None)
    problems, plain = audited(payload)
    assert problems == []
    assert plain is not None
    assert quick is not None
    assert plain.lines == quick.lines


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("worse", [1.0, 3.0])
def test_it_agrees_with_the_rules(seed: int, worse: float) -> None:
    """The same numbers to 1e-9 and the same verdicts, by other code."""
    content = statement(seed, worse=worse, speakers=5 + 3 * seed, slices=2 + seed % 3)
    problems, found = audited(parse_envelope(signed(content), source="d.json").payload)
    assert problems == []
    assert found is not None
    assert len(found.lines) == len(content.results)
    assert {line[4] for line in found.lines} == {"agrees"}
    assert found.believed == []


@pytest.mark.parametrize(
    "arguments", [{"text": ADVISORY}, {"registered": NEW_NOISE}, {"slices": 5, "text": ADVISORY}]
)
def test_it_agrees_on_advisory_families(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    """Corrected for their false discovery rate, or as those that block before there was that."""
    for content in (
        statement(3, worse=2.0, **arguments),
        before_discoveries(monkeypatch, seed=3, worse=2.0, **arguments),
    ):
        problems, found = audited(parse_envelope(signed(content), source="d.json").payload)
        assert problems == []
        assert found is not None
        assert {line[4] for line in found.lines} == {"agrees"}
    assert tampered(first("wer-slices", p_adjusted=0.77), seed=3, worse=2.0, **arguments)


@pytest.mark.parametrize("name", RATE_METRICS)
def test_it_knows_every_metric(name: str) -> None:
    """From the same sums, with the same better direction."""
    ours, theirs = RATE_METRICS[name], auditor.Metric(name)
    draw = np.random.default_rng(3)
    sums = {column: float(draw.integers(1, 50)) for column in ours.needs}
    if name == "wil":
        sums.update(hits=5.0, words=9.0, hypothesis_words=8.0)
    value = ours.function({column: np.array([value]) for column, value in sums.items()})[0]
    assert theirs.value(sums) == pytest.approx(value, rel=1e-12)
    assert (theirs.n, theirs.utterances) == (ours.n, ours.utterances)
    assert (theirs.counted, theirs.bounded) == (ours.counted, ours.bounded)
    assert (theirs.sign < 0) == (metric_of(name).better == "up")


@settings(max_examples=60, deadline=None)
@given(df=st.floats(1.0, 5000.0), probability=st.sampled_from([0.8, 0.9, 0.975]))
def test_its_quantiles_are_the_same(df: float, probability: float) -> None:
    """Student's t by an incomplete beta instead of a quadrature."""
    ours = float(t_quantile(probability, np.array([df]))[0])
    assert auditor.t_quantile(probability, df) == pytest.approx(ours, rel=1e-10)


@pytest.mark.parametrize("clusters", [5, 8, 12, 13, 16, 40])
def test_its_flips_are_the_same(clusters: int) -> None:
    """All of up to 12 clusters, and the drawn ones beyond, bit by bit."""
    ours = packed_flips(clusters, "seed")
    assert [row.tobytes() for row in ours] == list(auditor.flips(clusters, "seed"))


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    )
)
def test_its_canonical_form_is_the_same(document: Any) -> None:  # noqa: ANN401 - any JSON
    """RFC 8785, numbers as ECMAScript writes them."""
    assert auditor.canonical(document).encode("utf-8", "surrogatepass") == canonical(document)
    assert auditor.digest(document) == digest_of(document)


def tampered(change: Any, **arguments: Any) -> list[str]:  # noqa: ANN401 - over any JSON
    """Return the problems of a decision after a change, signed again by a good key."""
    document = json.loads(payload_of(**arguments))
    change(document["predicate"])
    return audited(canonical(document))[0]


def to_pass(predicate: dict[str, Any]) -> None:
    """Turn a failed decision into one that passes, as a dishonest signer would."""
    predicate.update(verdict="pass", promotable=True, not_promotable=[], reason_codes=[])
    for check in predicate["checks"]:
        check.update(verdict="pass", code="no_regression_seen")


def fewer_errors(predicate: dict[str, Any]) -> None:
    """Take errors out of the sums of the candidate."""
    for table in predicate["evidence"]["parts"][0]["sums"]:
        if table["metric"] == "wer_capped":
            for row in table["rows"]:
                row[2] = max(0, row[2] - 10)


def both(predicate: dict[str, Any]) -> None:
    """Do both."""
    to_pass(predicate)
    fewer_errors(predicate)


def first(name: str, **change: object) -> Any:  # noqa: ANN401 - a function over any JSON
    """Return a change of the first check of a rule."""

    def changed(predicate: dict[str, Any]) -> None:
        next(c for c in predicate["checks"] if c["rule"] == name).update(change)

    return changed


CHANGES: dict[str, Any] = {
    "verdicts": to_pass,
    "sums": fewer_errors,
    "both": both,
    "the verdict alone": lambda p: p.update(verdict="pass"),
    "an interval": first("wer-overall", high=0.0),
    "a p-value": first("wer-slices", p_adjusted=1.0),
    "what it detects": first("wer-slices", detects=1.01),
    "a percentile": first("latency-p95", observed=10.0),
    "a rule's bound": lambda p: p["evidence"]["parts"][0]["rules"][1].update(max=0.9),
    "the policy": lambda p: p["policy"]["documents"]["asr-promotion"]["rules"][1].update(max=0.9),
    "a rule less": lambda p: p["policy"]["documents"]["asr-promotion"]["rules"].pop(),
    "a check less": lambda p: p["checks"].pop(0),
    "a slice less": lambda p: p["checks"].pop(3),
    "no evidence": lambda p: p["evidence"]["parts"].clear(),
    "a rank": lambda p: p["evidence"]["parts"][0]["percentiles"][0]["slices"][0].update(
        high_rank=100, high=1.0
    ),
    "coverage": lambda p: p["parts"][0]["coverage"].update(scored=500),
    "enforcement": lambda p: p["policy"].update(enforcement="shadow"),
    "malformed": lambda p: p["evidence"]["parts"][0]["sums"][0]["rows"].append([1]),
    "not even that": lambda p: p.update(evidence=None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_dishonest_signer_is_found(name: str) -> None:
    """Signed again with a good key, the numbers still do not lead to the verdict."""
    assert tampered(CHANGES[name], seed=2, worse=3.0)


def test_an_honest_one_is_not() -> None:
    """The same way through, without a change."""
    assert tampered(lambda _: None, seed=2, worse=3.0) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 0, "valid"),
        (("--min-serial", "8"), 1, "replayed"),
        (("--artifact", "sha256:" + "0" * 64), 1, "another artifact"),
        (("--policy-digest", "sha256:" + "0" * 64), 1, "another policy"),
        (("--at", "2027-01-01T00:00:00Z"), 1, "expired"),
        (("--at", "2025-01-01T00:00:00Z"), 1, "future"),
    ],
)
def test_its_command_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """A table of checks with both numbers, and an exit code."""
    pytest.importorskip("cryptography", reason="the signature needs cryptography")
    key = new_key(tmp_path)
    (tmp_path / "d.json").write_bytes(signed(statement(), key))
    given_arguments = [str(tmp_path / "d.json"), "--key", str(tmp_path / "relkit.pub")]
    at = () if "--at" in arguments else ("--at", LATER)
    assert auditor.main([*given_arguments, *at, *arguments]) == code
    out = capsys.readouterr().out
    assert said in out
    assert "wer-slices    noise=1" in out


def test_a_wrong_key_or_a_flipped_bit_shows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only verified bytes are read."""
    pytest.importorskip("cryptography", reason="the signature needs cryptography")
    key = new_key(tmp_path / "a")
    new_key(tmp_path / "b")
    data = bytearray(signed(statement(), key))
    (tmp_path / "d.json").write_bytes(data)
    data[200] ^= 1
    (tmp_path / "e.json").write_bytes(data)
    for file, folder in (("d.json", "b"), ("e.json", "a")):
        public = str(tmp_path / folder / "relkit.pub")
        assert auditor.main([str(tmp_path / file), "--key", public, "--at", LATER]) == 1
        out = capsys.readouterr().out
        assert out.endswith("NOT VALID\n")
        assert "wer-slices" not in out
    assert auditor.main([str(tmp_path / "none"), "--key", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("errors", [True, False])
def test_what_could_be_hidden_is_the_same(*, errors: bool) -> None:
    """Systems that agree exactly, with errors and without any: the ends come from elsewhere."""
    content = statement(4, speakers=12, alike=True, errors=errors)
    problems, found = audited(parse_envelope(signed(content), source="d.json").payload)
    assert problems == []
    assert found is not None
    assert {line[4] for line in found.lines} == {"agrees"}
    overall = next(one for one in content.results if one.rule == "wer-overall")
    assert overall.observed == 0.0
    assert overall.high is not None
    assert overall.high > 0.0
