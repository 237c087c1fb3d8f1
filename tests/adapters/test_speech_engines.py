"""Engines that speak on this machine, started for real, and how they are timed and kept."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.systems.engines import (
    EngineSystem,
    EspeakEngine,
    FliteEngine,
    HibariEngine,
    program_version,
)
from relkit.audio.samples import audio_facts, stream_header, whole_wav
from relkit.audio.types import WARM_UP, WARM_UP_FIRST_BYTE, Script, Unspoken
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, MissingDependency
from relkit.datasets.types import Answer, AudioSpan, Clip, Failure, FailureReason
from relkit.evaluation.ports import SpeechEngine
from relkit.evaluation.types import Espeak, Flite, Hibari, Scalar
from tests.builders import system as system_of

KINDS = ("espeak-ng", "flite", "hibari-tts")
SENTENCE = "the quick brown fox"


def engine(kind: str, **options: Scalar) -> SpeechEngine:
    """Return an engine of this kind; skips the test where it is not installed."""
    if kind == "hibari-tts":
        if importlib.util.find_spec("hibari") is None:
            pytest.skip("hibari-tts is not installed")
        return HibariEngine(system_of(Hibari, **options))
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if kind == "espeak-ng":
        return EspeakEngine(system_of(Espeak, timeout_s=20, **options))
    return FliteEngine(system_of(Flite, timeout_s=20, **options))


def spoken(system: EngineSystem, folder: Path, text: str = SENTENCE) -> Answer:
    """Return an answer that is one."""
    said = system.answer(Script(text=text, folder=str(folder / "audio")))
    assert isinstance(said, Answer), said
    return said


def decoded(folder: Path, answer: Answer) -> Clip:
    """Return what was spoken, as the harness decodes it."""
    clip = SoundfileReader().read(str(folder), AudioSpan(path=answer.audio or ""), max_s=60)
    assert isinstance(clip, Clip), clip
    return clip


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_speaks_and_is_timed(kind: str, tmp_path: Path) -> None:
    """Audible audio under its digest; the first call is a warm-up, the second has latencies."""
    system = EngineSystem(engine(kind))
    first, second = spoken(system, tmp_path), spoken(system, tmp_path)
    assert (first.latency_ms, first.first_byte_ms) == (None, None)
    assert 0 < first.usage[WARM_UP_FIRST_BYTE] <= first.usage[WARM_UP]
    assert second.latency_ms is not None
    assert second.first_byte_ms is not None
    assert 0 < second.first_byte_ms <= second.latency_ms
    assert not second.usage
    clip = decoded(tmp_path, second)
    assert 0.5 < clip.duration_s < 10
    assert audio_facts(clip.samples, clip.sample_rate) is not None
    data = (tmp_path / str(second.audio)).read_bytes()
    assert second.audio == f"audio/{sha256_bytes(data).removeprefix(PREFIX)}.wav"
    assert first.audio == second.audio
    assert len(list((tmp_path / "audio").iterdir())) == 1
    system.close()


@pytest.mark.parametrize(
    ("kind", "slow", "fast"),
    [
        ("espeak-ng", {"rate": 100}, {"rate": 300}),
        ("flite", {"rate": 0.5}, {"rate": 2.0}),
        ("hibari-tts", {"rate": 0.5}, {"rate": 2.0}),
    ],
)
def test_a_rate_is_a_rate(
    kind: str, slow: dict[str, Scalar], fast: dict[str, Scalar], tmp_path: Path
) -> None:
    """A larger rate is faster speech, whatever the engine's own unit."""
    lengths = []
    for options in (slow, fast):
        system = EngineSystem(engine(kind, **options))
        lengths.append(decoded(tmp_path, spoken(system, tmp_path)).duration_s)
        system.close()
    assert lengths[0] > 1.5 * lengths[1]


@pytest.mark.parametrize("kind", ["espeak-ng", "flite"])
def test_pitch_and_voice_reach_the_engine(kind: str, tmp_path: Path) -> None:
    """Another pitch and another voice are other samples."""
    other: list[dict[str, Scalar]] = [
        {},
        {"pitch": 90},
        {"voice": "en-gb" if kind == "espeak-ng" else "rms"},
    ]
    clips = set()
    for options in other:
        system = EngineSystem(engine(kind, **options))
        clips.add(spoken(system, tmp_path).audio)
        system.close()
    assert len(clips) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_voice_is_refused_before_anything_is_spoken(kind: str) -> None:
    """Flite would speak with another one and say nothing."""
    with pytest.raises(InvalidInput, match="voice"):
        engine(kind, voice="nosuchvoice")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    ["--version", "$(touch spoken-by-a-shell)", "; touch spoken-by-a-shell", 'say "x" & `id`'],
)
def test_text_is_text(
    kind: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No option, no shell: whatever stands in a text is spoken, or not, and nothing else."""
    monkeypatch.chdir(tmp_path)
    system = EngineSystem(engine(kind))
    said = system.answer(Script(text=text, folder=str(tmp_path / "audio")))
    system.close()
    assert isinstance(said, Answer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_say_is_no_clip_that_could_pass(kind: str, tmp_path: Path) -> None:
    """An engine without a text gives no audio, or silence."""
    system = EngineSystem(engine(kind))
    said = system.answer(Script(text="", folder=str(tmp_path / "audio")))
    system.close()
    if isinstance(said, Failure):
        assert said.reason in {FailureReason.NO_SPEECH, FailureReason.PROTOCOL}
    else:
        clip = decoded(tmp_path, said)
        assert audio_facts(clip.samples, clip.sample_rate) is None


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """Put a program of this name in front of the search path."""
    path = folder / "bin" / name
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("script", "reason", "retryable"),
    [
        ("exec sleep 60", FailureReason.TIMEOUT, True),
        ("sleep 60", FailureReason.TIMEOUT, True),
        ("kill -SEGV $$", FailureReason.CRASHED, False),
        ("exit 3", FailureReason.CRASHED, False),
        ("exit 0", FailureReason.NO_SPEECH, False),
        ("echo garbage", FailureReason.PROTOCOL, False),
    ],
)
def test_an_engine_that_fails_says_how(
    script: str,
    reason: FailureReason,
    retryable: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hanging, with or without a child of its own, crashing, saying nothing, and noise."""
    probe = 'case "$*" in *-q*) exit 0;; esac\n'
    for name, value in program(tmp_path, "espeak-ng", probe + script).items():
        monkeypatch.setenv(name, value)
    system = EngineSystem(EspeakEngine(Espeak(timeout_s=0.4)))
    said = system.answer(Script(text=SENTENCE, folder=str(tmp_path / "audio")))
    system.close()
    assert isinstance(said, Failure)
    assert (said.reason, said.retryable) == (reason, retryable)
    assert SENTENCE not in said.detail
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize("kind", ["espeak-ng", "flite"])
def test_an_engine_that_is_not_installed_is_named(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The way out is in the hint."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=kind) as caught:
        program_version(kind)
    assert "install" in str(caught.value.hint)


def test_versions_are_those_that_programs_print() -> None:
    """A version is digits and dots."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    assert program_version("espeak-ng")[0].isdigit()


class Pieces:
    """Implements SpeechEngine: gives out these pieces, then fails if it is told to."""

    def __init__(self, *pieces: bytes, then: Unspoken | None = None) -> None:
        """Keep what to say."""
        self._pieces = pieces
        self._then = then

    def say(self, text: str) -> Iterator[bytes]:
        """Yield the pieces, whatever the text."""
        assert text
        yield from self._pieces
        if self._then is not None:
            raise self._then

    def close(self) -> None:
        """Nothing is held."""


def answered(folder: Path, *pieces: bytes, then: Unspoken | None = None) -> Answer | Failure:
    """Return what becomes of pieces."""
    return EngineSystem(Pieces(*pieces, then=then)).answer(
        Script(text="x", folder=str(folder / "audio"))
    )


def test_a_header_is_no_audio(tmp_path: Path) -> None:
    """A file without samples is no speech, and nothing is written."""
    said = answered(tmp_path, stream_header(8_000)[:20], stream_header(8_000)[20:])
    assert said == Failure(reason=FailureReason.NO_SPEECH, detail="no audio")
    assert not (tmp_path / "audio").exists()


def test_a_failure_in_the_middle_leaves_no_clip(tmp_path: Path) -> None:
    """Half a clip is none: what was said before is thrown away."""
    failure = Failure(reason=FailureReason.TIMEOUT, retryable=True)
    assert answered(tmp_path, stream_header(8_000), bytes(64), then=Unspoken(failure)) == failure
    assert not (tmp_path / "audio").exists()


def test_a_clip_is_whole_however_it_came(tmp_path: Path) -> None:
    """The clip on disk has its real length, whatever the pieces were."""
    samples = bytes(range(200))
    head = stream_header(8_000)
    said = answered(tmp_path, *(bytes([byte]) for byte in head), samples[:51], samples[51:])
    assert isinstance(said, Answer)
    assert (tmp_path / str(said.audio)).read_bytes() == whole_wav(head + samples)
