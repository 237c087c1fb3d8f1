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
    LATER,
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


def audited(payload: bytes) -> tuple[list[str], auditor.Audit | auditor.CanaryAudit | None]:
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
    assert auditor.unit_of(name) == metric_of(name).unit


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
