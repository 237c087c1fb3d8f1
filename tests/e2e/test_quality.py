"""``relkit eval`` with quality metrics: real clips, real models, real worker processes."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pyarrow import parquet as pq

from relkit.core.errors import ExitCode
from tests.conftest import Workspace

pytestmark = pytest.mark.slow
if importlib.util.find_spec("speechmos") is None:
    pytest.skip(
        "speechmos is not installed: pip install 'relkit-speech[mos]'", allow_module_level=True
    )

SUITE = """\
schema: relkit.suite/v1
name: quality
dataset: {{name: {dataset}{where}}}
metrics: [{metrics}]
slices: [{slices}]
system: {{kind: recorded, path: answers.jsonl}}
"""
DEMO = ", where: {voice: [flite-slt, flite-rms]}"


def quality_suite(
    workspace: Workspace,
    metrics: str,
    *,
    dataset: str = "assistant-commands",
    where: str = DEMO,
    slices: str = "noise",
) -> str:
    """Write a suite over recorded answers, right in every word, and return its name."""
    if not (workspace.folder / "answers.jsonl").exists():
        workspace.recorded(lambda row: {"text": row["text"]})
    text = SUITE.format(dataset=dataset, where=where, metrics=metrics, slices=slices)
    (workspace.folder / "eval" / "suites" / "quality.yaml").write_text(text, encoding="utf-8")
    return "quality"


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Return a run's results, by id."""
    rows: list[dict[str, Any]] = pq.read_table(run / "results.parquet").to_pylist()
    return sorted(rows, key=lambda row: str(row["id"]))


def test_a_suite_scores_what_its_system_was_given(workspace: Workspace) -> None:
    """Report, results, run and page say the scores, that they are predicted, and by what."""
    name = quality_suite(workspace, "wer, dnsmos_ovrl, plcmos")
    said = workspace.relkit("eval", name, "--jobs", "2", "--json")
    assert said.code == 0, said.err
    document = said.document
    metrics = document["slices"][0]["metrics"]
    assert list(metrics) == ["wer", "dnsmos_ovrl.mean", "dnsmos_ovrl.p10", "plcmos.mean"]
    rows = rows_of(workspace.runs[-1])
    values = [row["dnsmos_ovrl"] for row in rows]
    assert len(values) == 16
    assert all(1.0 <= value <= 5.0 for value in values)
    assert metrics["dnsmos_ovrl.mean"]["value"] == pytest.approx(np.mean(values))
    assert metrics["dnsmos_ovrl.p10"]["value"] == pytest.approx(np.percentile(values, 10))
    assert metrics["dnsmos_ovrl.mean"]["unit"] == "mos"
    assert all(row["level_dbfs"] < 0 and row["quality_reason"] is None for row in rows)
    assert all(row["dnsmos_sig"] is None and row["pesq"] is None for row in rows)
    quality = document["quality"]
    assert quality["clips"] == 16
    assert quality["noise_floor"]["dnsmos_ovrl"] == {"sd": 0.0, "repeated": 3}
    assert 0 < quality["noise_floor"]["plcmos"]["sd"] < 0.01
    run = json.loads((workspace.runs[-1] / "run.json").read_text(encoding="utf-8"))
    for model, digest in quality["models"].items():
        assert run["versions"][model] == digest
    page = workspace.relkit("report", workspace.runs[-1].name, "--markdown")
    assert page.code == 0, page.err
    assert "*predicted* MOS" in page.out
    assert "sha256:269fbebd" in page.out


def test_a_second_run_and_a_rescored_one_score_the_same(workspace: Workspace) -> None:
    """From the cache, without a difference in the last bit."""
    name = quality_suite(workspace, "wer, dnsmos_p808")
    first = workspace.relkit("eval", name, "--json")
    assert first.code == 0, first.err
    second = workspace.relkit("eval", name, "--json")
    third = workspace.relkit("rescore", workspace.runs[0].name, "--normalizer", "digits", "--json")
    assert (second.code, third.code) == (0, 0), third.err
    expected = [row["dnsmos_p808"] for row in rows_of(workspace.runs[0])]
    for run in workspace.runs[1:]:
        assert [row["dnsmos_p808"] for row in rows_of(run)] == expected
    assert third.document["quality"] == first.document["quality"]


def test_bad_audio_is_null_with_a_reason_and_references_are_compared(workspace: Workspace) -> None:
    """Silence, a fragment, a broken file, 44.1 kHz stereo, and two clips with a reference."""
    folder = workspace.folder / "datasets" / "own"
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.random(20) > 0.4, 2_400)
    speech = (0.1 * rng.standard_normal(48_000) * envelope).astype(np.float32)
    clips = {
        "clean": (speech, 16_000),
        "noisy": (speech + 0.01 * rng.standard_normal(48_000).astype(np.float32), 16_000),
        "silent": (np.zeros(16_000, np.float32), 16_000),
        "short": (speech[:300], 16_000),
        "stereo": (0.1 * rng.standard_normal((44_100, 2)).astype(np.float32), 44_100),
    }
    for clip, (samples, rate) in clips.items():
        soundfile.write(folder / "audio" / f"{clip}.wav", samples, rate, subtype="FLOAT")
    (folder / "audio" / "broken.wav").write_bytes(b"RIFF and nothing else")
    (folder / "dataset.yaml").write_text("name: own\ncluster: id_\n", encoding="utf-8")
    rows = [
        {"id": clip, "audio_filepath": f"audio/{clip}.wav", "text": "a", "id_": clip}
        for clip in (*clips, "broken")
    ]
    rows[0]["reference_audio"] = rows[1]["reference_audio"] = "audio/clean.wav"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    answers = "".join(json.dumps({"id": row["id"], "text": "a"}) + "\n" for row in rows)
    (workspace.folder / "answers.jsonl").write_text(answers, encoding="utf-8")
    name = quality_suite(
        workspace, "dnsmos_ovrl, pesq, stoi", dataset="own", where="", slices="id_"
    )
    said = workspace.relkit("eval", name, "--json")
    assert said.code == 0, said.err
    found = {row["id"]: row for row in rows_of(workspace.runs[-1])}
    reasons = {name: row["quality_reason"] for name, row in found.items()}
    assert reasons == {
        "clean": None,
        "noisy": None,
        "silent": "silent",
        "short": "too_short",
        "stereo": "no_reference",
        "broken": "unreadable",
    }
    scored = {name for name, row in found.items() if row["dnsmos_ovrl"] is not None}
    assert scored == {"clean", "noisy", "stereo"}
    assert found["clean"]["stoi"] == pytest.approx(1.0, abs=1e-6)
    assert found["noisy"]["pesq"] < found["clean"]["pesq"]
    metrics = said.document["slices"][0]["metrics"]
    assert metrics["stoi.mean"]["n"] == 2
    assert metrics["dnsmos_ovrl.mean"]["n"] == 3
    unscored = said.document["quality"]["unscored"]["dnsmos_ovrl"]
    assert unscored == {"silent": 1, "too_short": 1, "unreadable": 1}


def test_without_the_extra_nothing_is_decoded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra, and there is no run."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "speechmos" else real(name)
    )
    said = workspace.relkit("eval", quality_suite(workspace, "wer, plcmos"))
    assert said.code == ExitCode.INVALID
    assert "pip install 'relkit-speech[mos]'" in said.err
    assert workspace.runs == []
