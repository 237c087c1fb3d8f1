"""DNSMOS, PLCMOS, PESQ and STOI against the libraries they come from."""

import importlib.util
import json
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.caches import SqliteQualityCache
from relkit.adapters.mos import models
from relkit.adapters.mos import models as spectra
from relkit.adapters.mos.models import cut
from relkit.audio.types import ComparedClip, Quality
from relkit.core.errors import InvalidInput, MissingDependency, StorageFailed
from relkit.core.metrics import QUALITY_METRICS
from relkit.datasets.types import AudioSpan, Clip, Unusable
from tests.speech import DATASET

if importlib.util.find_spec("speechmos") is None:
    pytest.skip(
        "speechmos is not installed: pip install 'relkit-speech[mos]'", allow_module_level=True
    )

from relkit.adapters.mos.scorers import MosModels, MosSystem

Samples = NDArray[np.float32]
PEER = {
    "dnsmos_sig": "sig_mos",
    "dnsmos_bak": "bak_mos",
    "dnsmos_ovrl": "ovrl_mos",
    "dnsmos_p808": "p808_mos",
}
SECONDS = (1.0, 1.083, 10.0, 44.0)

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import librosa, numpy as np
from speechmos import dnsmos, plcmos
found = {}
for path in sys.argv[2:]:
    found[path] = {k: float(v) for k, v in dnsmos.run(path, 16000).items() if k != "filename"}
    samples, _ = librosa.load(path, sr=16000)
    samples = np.clip(samples, -1, 1)
    found[path]["plcmos"] = [plcmos.run(samples, 16000)["plcmos"] for _ in range(3)]
mel = librosa.filters.mel(sr=16000, n_fft=321, n_mels=120)
np.save(sys.argv[1], mel)
print(json.dumps(found))
"""


def bundled() -> list[Path]:
    """Return the bundled recordings that are here."""
    lines = (DATASET / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    paths = [DATASET / json.loads(line)["audio_filepath"] for line in lines]
    return [path for path in paths if path.is_file()]


def speech() -> Samples:
    """Return about a minute of the bundled speech, one recording after the other."""
    parts = [soundfile.read(path, dtype="float32")[0] for path in bundled()[:30]]
    whole: Samples = np.concatenate(parts)
    return whole


def clip_of(samples: Samples, rate: int = 16_000) -> Clip:
    """Return samples as a clip."""
    data = samples.astype("<f4").tobytes()
    return Clip(samples=data, sample_rate=rate, digest="sha256:x", path="", whole=True)


def read(path: Path) -> Clip:
    """Return a file as an evaluation reads it."""
    clip = SoundfileReader().read(str(path.parent), AudioSpan(path=path.name), max_s=600)
    assert not isinstance(clip, Unusable)
    return clip


class Reference:
    """What the libraries say about some files, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        """Write the clips, and ask once: librosa compiles for some 13 s."""
        whole = speech()
        if len(whole) < 44.1 * 16_000:
            pytest.skip("the bundled dataset's audio is not here")
        if importlib.util.find_spec("librosa") is None:
            pytest.skip("librosa is not installed, without which speechmos cannot be asked")
        self.paths = bundled()[:3]
        for seconds in SECONDS:
            path = folder / f"{seconds}.wav"
            soundfile.write(path, whole[8_000 : 8_000 + round(seconds * 16_000)], 16_000)
            self.paths.append(path)
        self.foreign = folder / "stereo.wav"
        stereo = np.stack([whole[: 3 * 44_100], 0.5 * whole[100 : 100 + 3 * 44_100]], axis=1)
        soundfile.write(self.foreign, stereo, 44_100, subtype="FLOAT")
        self.paths.append(self.foreign)
        mel = folder / "mel.npy"
        said = subprocess.run(
            [sys.executable, "-c", SCRIPT, mel, *self.paths],
            check=True,
            capture_output=True,
            text=True,
        )
        self.mel: Samples = np.load(mel)
        self.scores = json.loads(said.stdout)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Give the libraries' scores."""
    return Reference(tmp_path_factory.mktemp("mos"))


@pytest.fixture(scope="module")
def every() -> MosModels:
    """Give all models, opened once."""
    return MosModels(QUALITY_METRICS)


@pytest.mark.slow
def test_scores_are_those_of_the_library(library: Reference, every: MosModels) -> None:
    """Real recordings, loops, dropped windows, 44.1 kHz stereo: DNSMOS to 1e-5.

    PLCMOS differs between the library's own runs: theirs lie within five of their spreads of ours,
    and the average of three within what three leave of it.
    """
    for path in library.paths:
        expected = library.scores[str(path)]
        found = every.quality(read(path))
        for ours, theirs in PEER.items():
            assert found.scores[ours] == pytest.approx(expected[theirs], abs=1e-5), path.name
        spread = 8 * found.noise["plcmos"]
        assert 0.001 < spread < 0.1
        repeats = np.array(expected["plcmos"])
        assert np.abs(repeats - found.scores["plcmos"]).max() < 5 * spread, path.name
        assert abs(repeats.mean() - found.scores["plcmos"]) < 5 * spread / 3**0.5, path.name


@pytest.mark.slow
def test_mel_filters_are_those_of_librosa(library: Reference) -> None:
    """Bit for bit, without librosa."""
    assert np.array_equal(library.mel, spectra.mel_filters())


def test_the_same_clip_scores_the_same_in_another_process(every: MosModels) -> None:
    """Raters included: the noise of PLCMOS is the library's, not ours."""
    samples = speech()[:20_000]
    script = (
        "import sys, numpy as np; from relkit.adapters.mos.scorers import MosSystem;"
        "from relkit.datasets.types import Clip; data = sys.stdin.buffer.read();"
        "clip = Clip(samples=data, sample_rate=16000, digest='', path='', whole=True);"
        "print(MosSystem(['dnsmos_ovrl', 'plcmos']).answer(clip).text)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], input=samples.tobytes(), capture_output=True, check=True
    )
    found = json.loads(said.stdout)
    ours = every.quality(clip_of(samples))
    assert found["scores"] == {name: ours.scores[name] for name in ("dnsmos_ovrl", "plcmos")}


def test_neither_speechmos_nor_librosa_is_imported() -> None:
    """Their numba compiles for 12 to 19 s at the first call."""
    script = (
        "import sys; from relkit.adapters.mos.scorers import MosModels;"
        "from relkit.datasets.types import Clip; import numpy as np;"
        "x = np.random.default_rng(0).standard_normal(2000).astype('<f4') / 10;"
        "clip = Clip(samples=x.tobytes(), sample_rate=8000, digest='', path='', whole=True);"
        "assert len(MosModels(['dnsmos_p808', 'plcmos']).quality(clip).scores) == 2;"
        "print({'librosa', 'speechmos', 'numba', 'scipy', 'pesq', 'pystoi'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "empty"),
        (np.zeros(16_000), "silent"),
        (np.ones(20) / 2, "too_short"),
        (np.full(16_000, np.nan), "not_finite"),
        (np.full(16_000, np.inf), "not_finite"),
    ],
)
def test_what_hangs_or_fools_the_library_has_a_reason_and_no_score(
    every: MosModels, samples: Samples, reason: str
) -> None:
    """The library loops for ever on an empty array and gives silence a score."""
    found = every.quality(clip_of(samples))
    assert found.scores == {}
    assert found.reasons == dict.fromkeys(QUALITY_METRICS, reason)


def test_dropped_windows_are_counted(every: MosModels) -> None:
    """A clip of 18 s: ten windows of whole audio, of which the library averages fewer."""
    samples = np.tile(speech(), 2)[: 18 * 16_000 + 500]
    found = every.quality(clip_of(samples))
    assert found.windows + found.dropped == 9
    assert found.dropped > 0


def test_louder_speech_has_another_level_and_another_score(every: MosModels) -> None:
    """Nothing is normalised, so the level is part of what was measured."""
    samples = speech()[:16_000]
    loud, soft = (
        every.quality(clip_of(samples)),
        every.quality(clip_of((samples / 2).astype(np.float32))),
    )
    assert loud.level is not None
    assert soft.level is not None
    assert loud.level.active_dbfs - soft.level.active_dbfs == pytest.approx(6.02, abs=0.01)
    assert abs(loud.scores["dnsmos_ovrl"] - soft.scores["dnsmos_ovrl"]) > 0.01


def compared(degraded: Samples, clean: Samples | None) -> ComparedClip:
    """Return a clip with its reference."""
    one = clip_of(degraded)
    return ComparedClip(
        samples=one.samples,
        sample_rate=one.sample_rate,
        digest="",
        path="",
        whole=True,
        reference=None if clean is None else clip_of(clean),
    )


@pytest.fixture(scope="module")
def intrusive() -> MosModels:
    """Give the libraries that compare."""
    return MosModels(["pesq", "stoi"])


def test_pesq_and_stoi_are_those_of_their_libraries(intrusive: MosModels) -> None:
    """Against the clean recording, reference first, wide band."""
    import pesq  # noqa: PLC0415 - part of the same extra, which may be missing
    from pystoi import stoi  # noqa: PLC0415 - as above

    clean = speech()[: 4 * 16_000]
    noise = np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    degraded = clean + 0.02 * noise
    found = intrusive.quality(compared(degraded, clean))
    assert found.scores["pesq"] == pytest.approx(pesq.pesq(16_000, clean, degraded, "wb"))
    assert found.scores["stoi"] == pytest.approx(stoi(clean, degraded, 16_000))
    same = intrusive.quality(compared(clean, clean))
    assert same.scores["pesq"] > 4.6
    assert same.scores["stoi"] == pytest.approx(1.0, abs=1e-6)
    assert (found.windows, found.dropped) == (0, 0)


def test_what_cannot_be_compared_has_a_reason(intrusive: MosModels) -> None:
    """No reference, a silent one, one of another length, too little speech."""
    clean = speech()[: 2 * 16_000]
    assert intrusive.quality(clip_of(clean)).reasons == {
        "pesq": "no_reference",
        "stoi": "no_reference",
    }
    silent = intrusive.quality(compared(clean, np.zeros(16_000, np.float32)))
    assert silent.reasons == {"pesq": "reference_silent", "stoi": "reference_silent"}
    longer = intrusive.quality(compared(clean, speech()[: 3 * 16_000]))
    assert longer.reasons.get("stoi") == "lengths_differ"
    short = intrusive.quality(compared(clean[:3_000], clean[:3_000]))
    assert short.scores == {}
    assert short.reasons["stoi"] == "too_short"
    assert short.reasons["pesq"] in {"too_short", "no_speech"}


def test_a_model_is_cut_where_its_tensors_say() -> None:
    """The parts one after the other are the whole, and hold no weight of the other."""
    model = models.read_model(models.P808)
    between = "push_transpose_out_0"
    first = cut(model, inputs={"input_1": (None, 900, 120)}, outputs={between: (None,) * 3 + (64,)})
    second = cut(model, inputs={between: (None,) * 3 + (64,)}, outputs={"Identity:0": (None, 1)})
    assert len(first) + len(second) < len(model) + 2_000
    x = np.random.default_rng(0).standard_normal((2, 900, 120)).astype(np.float32)
    whole = models.open_session(model).run(None, {"input_1": x})[0]
    middle = models.open_session(first).run(None, {"input_1": x})[0]
    assert np.array_equal(models.open_session(second).run(None, {between: middle})[0], whole)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a model", b"\x3a\xff\xff\xff\xff\x0f"])
def test_a_damaged_model_is_a_named_error(data: bytes) -> None:
    """Not a crash deep inside the runtime."""
    with pytest.raises(InvalidInput, match="not an ONNX model"):
        cut(data, inputs={}, outputs={"x": (None,)})


def test_a_model_without_the_tensor_is_refused() -> None:
    """Another version of speechmos is not guessed at."""
    with pytest.raises(InvalidInput, match=r"speechmos 0\.0\.1\.1"):
        cut(models.read_model(models.P808), inputs={}, outputs={"nowhere": (None,)})


def test_identities_are_digests_of_the_files_that_are_used() -> None:
    """Two metrics of one model name it once; a library has a version."""
    found = models.identities(["dnsmos_sig", "dnsmos_ovrl", "pesq"])
    assert set(found) == {models.P835, "pesq", "speechmos", "onnxruntime"}
    assert found[models.P835].startswith("sha256:269fbebd")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is decoded."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "speechmos" else real(name)
    )
    with pytest.raises(MissingDependency, match="speechmos") as caught:
        models.require_packages(["dnsmos_ovrl"])
    assert caught.value.hint == "pip install 'relkit-speech[mos]'"
    models.require_packages(["stoi"])
    with pytest.raises(InvalidInput, match=r"sig_bak_ovr\.onnx"):
        models.read_model(models.P835)


def test_answers_of_a_worker_are_qualities() -> None:
    """What an executor carries between processes."""
    system = MosSystem(["plcmos"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = json.loads(system.answer(clip_of(speech()[:8_000])).text)
    system.close()
    assert list(said["scores"]) == ["plcmos"]


def test_the_cache_gives_back_what_was_kept(tmp_path: Path) -> None:
    """By scorer and audio, also to another process's connection, and not a bit changed."""
    quality = Quality(scores={"plcmos": 3.0000000001}, windows=3)
    path = tmp_path / "cache" / "quality.sqlite"
    with SqliteQualityCache(path) as cache:
        cache.put("s", "a", quality)
        assert cache.get("s", "a") is None, "not durable before it is flushed"
        cache.flush()
        with SqliteQualityCache(path) as other:
            assert other.get("s", "a") == quality
        assert cache.get("t", "a") is None
        assert cache.get("s", "b") is None


def test_a_damaged_cache_is_a_named_error(tmp_path: Path) -> None:
    """A file that is none, and a row that says nothing."""
    path = tmp_path / "quality.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(StorageFailed, match=r"quality\.sqlite"):
        SqliteQualityCache(path)
    path.unlink()
    with SqliteQualityCache(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO qualities VALUES ('s', 'a', '{}')")
    database.close()
    with SqliteQualityCache(path) as cache, pytest.raises(StorageFailed):
        cache.get("s", "a")
