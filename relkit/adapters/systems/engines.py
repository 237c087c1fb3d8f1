"""Engines that speak on this machine: espeak-ng, flite, and hibari-tts.

:class:`EngineSystem` lets an engine speak, times it by our clock, and keeps the clip by its digest.
"""

import importlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from relkit._version import with_extra
from relkit.audio.samples import audio_start, stream_header, to_pcm16, whole_wav
from relkit.audio.types import WARM_UP, WARM_UP_FIRST_BYTE, Script, Unspoken
from relkit.core import storage
from relkit.core.codec import nearest
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.core.errors import InvalidInput, MissingDependency, describe_exit
from relkit.core.wording import limit
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer, Failure, FailureReason
from relkit.evaluation.ports import SpeechEngine
from relkit.evaluation.types import Espeak, Flite, Hibari

_BLOCK = 1 << 14
_ASK_S = 20.0


class EspeakEngine:
    """espeak-ng, started anew for every text; its audio is read while it speaks."""

    def __init__(self, system: Espeak) -> None:
        """Check that the voice speaks; raises InvalidInput, MissingDependency."""
        program = program_path("espeak-ng")
        self._arguments = [program, "-v", system.voice, "-s", str(system.rate)]
        self._arguments += ["-p", str(system.pitch), "-b", "1", "--stdin"]
        self._timeout_s = system.timeout_s
        if _run([*self._arguments, "-q"]).returncode:
            raise InvalidInput(
                f'system: espeak-ng has no voice "{shown(system.voice)}"',
                hint="list them: espeak-ng --voices",
            )

    def say(self, text: str) -> Iterator[bytes]:
        """Yield a WAV file as it is spoken; raises Unspoken."""
        with tempfile.TemporaryFile() as source:
            source.write(text.encode())
            source.seek(0)
            # As soon as it writes: its output goes through a buffer of 4 KiB of its own.
            yield from _output([*self._arguments, "--stdout"], source.fileno(), self._timeout_s)

    def close(self) -> None:
        """Nothing is held."""


class FliteEngine:
    """flite, started anew for every text; it writes a whole file, so its first byte is its last."""

    def __init__(self, system: Flite) -> None:
        """Check the voice; raises InvalidInput, MissingDependency.

        flite itself speaks with another voice where it does not know the one it was told.
        """
        program = program_path("flite")
        listed = _run([program, "-lv"]).stdout.decode("ascii", "replace")
        voices = tuple(listed.rpartition(":")[2].split())
        if system.voice not in voices:
            raise InvalidInput(
                f'system: flite has no voice "{shown(system.voice)}"',
                hint=nearest(system.voice, voices),
            )
        self._arguments = [program, "-voice", system.voice]
        self._arguments += ["--setf", f"duration_stretch={1 / system.rate:g}"]
        if system.pitch is not None:
            self._arguments += ["--setf", f"int_f0_target_mean={system.pitch:g}"]
        self._timeout_s = system.timeout_s
        # Its output has to be a file that can be sought in: with a pipe flite waits for ever.
        self._folder = tempfile.TemporaryDirectory(prefix="relkit-flite-")

    def say(self, text: str) -> Iterator[bytes]:
        """Yield a whole WAV file; raises Unspoken."""
        source, target = Path(self._folder.name) / "text", Path(self._folder.name) / "clip.wav"
        source.write_text(text, encoding="utf-8")
        target.unlink(missing_ok=True)
        arguments = [*self._arguments, "-f", str(source), "-o", str(target)]
        for _ in _output(arguments, subprocess.DEVNULL, self._timeout_s):
            pass
        if target.is_file():
            yield target.read_bytes()

    def close(self) -> None:
        """Remove the folder that clips pass through."""
        self._folder.cleanup()


class HibariEngine:
    """hibari-tts, loaded once; a sentence is out as soon as it is ready."""

    def __init__(self, system: Hibari) -> None:
        """Load a voice; raises InvalidInput, MissingDependency.

        Voices that are not in the package are fetched by the library on their first use.
        """
        hibari = _hibari()
        try:
            self._voice: Any = hibari.Hibari(voice=system.voice, threads=1)
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidInput(
                f'system: hibari-tts cannot load the voice "{shown(system.voice)}"',
                hint="list its voices: hibari --list-voices",
            ) from error
        self._rate, self._seed = system.rate, system.seed
        self._sample_rate = int(hibari.SAMPLE_RATE)

    def say(self, text: str) -> Iterator[bytes]:
        """Yield a WAV file sentence by sentence; the same seed gives the same samples."""
        yield stream_header(self._sample_rate)
        for samples in self._voice.stream(text, speed=self._rate, seed=self._seed):
            yield to_pcm16(np.asarray(samples, dtype="<f4").tobytes()).astype("<i2").tobytes()

    def close(self) -> None:
        """Nothing is held but memory."""


def program_path(name: str) -> str:
    """Return a program's path; raises MissingDependency where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise MissingDependency(f"{name} is not installed", hint=f"Debian: apt install {name}")
    return path


def program_version(name: str) -> str:
    """Return the version that a program prints, such as ``1.51``; raises MissingDependency."""
    done = _run([program_path(name), "--version"])
    version = re.search(rb"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return version.group().decode() if version else "unknown"


def hibari_version() -> str:
    """Return the library's version; raises MissingDependency."""
    return str(_hibari().__version__)


def _hibari() -> Any:  # noqa: ANN401 - the library is untyped
    """Return the library; raises MissingDependency."""
    try:
        return importlib.import_module("hibari")
    except ImportError as error:
        raise MissingDependency("hibari-tts is not installed", hint=with_extra("tts")) from error


def _run(arguments: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            arguments, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidInput(
            f"{Path(arguments[0]).name} cannot be started", hint="try it by hand"
        ) from error


def _output(arguments: Sequence[str], source: int, timeout_s: float) -> Iterator[bytes]:
    """Yield what a program writes, as it comes; raises Unspoken where it ends badly or late.

    No shell is involved, and the text is never part of a command line. What it says on its
    standard error is thrown away, as it may repeat the text.
    """
    program = subprocess.Popen(
        list(arguments),
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(program)

    timer = threading.Timer(timeout_s, end)
    timer.start()
    try:
        while program.stdout is not None and (block := program.stdout.read(_BLOCK)):
            yield block
        code = program.wait()
    finally:
        timer.cancel()
        _kill(program)
        program.wait()
        if program.stdout is not None:
            program.stdout.close()
    if late.is_set():
        detail = f"no answer in {limit(timeout_s, 's')}"
        raise Unspoken(Failure(reason=FailureReason.TIMEOUT, detail=detail, retryable=True))
    if code:
        raise Unspoken(Failure(reason=FailureReason.CRASHED, detail=describe_exit(code)))


def _kill(program: "subprocess.Popen[bytes]") -> None:
    if program.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)


MAX_AUDIO = 64 << 20
"""The longest clip that is taken, in bytes."""


class EngineSystem:
    """Implements SpeakingSystem with an engine: answers scripts with clips, one at a time.

    Latency runs from the call to the last byte, the first byte is the first one of audio: the
    header of a file does not count, nor does writing the clip down. The first answer after a start
    is a warm-up: its times are in ``usage`` and not among the latencies.
    """

    def __init__(self, engine: SpeechEngine) -> None:
        """Use an engine, which is closed with this."""
        self._engine = engine
        self._warm = False

    def answer(self, script: Script) -> Answer | Failure:
        """Return an answer whose ``audio`` is the clip's path inside the run, ``audio/….wav``."""
        started = time.perf_counter()
        data, first_byte = bytearray(), None
        try:
            for piece in self._engine.say(script.text):
                data += piece
                start = audio_start(data) if first_byte is None else None
                if start is not None and len(data) > start:
                    first_byte = time.perf_counter()
                if len(data) > MAX_AUDIO:
                    return _protocol("more than 64 MiB of audio")
            ended = time.perf_counter()
            if first_byte is None:
                return Failure(reason=FailureReason.NO_SPEECH, detail="no audio")
            clip = whole_wav(data)
        except Unspoken as unspoken:
            return unspoken.failure
        except ValueError:
            return _protocol("no WAV file")
        name = keep_clip(script.folder, clip)
        latency_ms, first_byte_ms = (ended - started) * 1000, (first_byte - started) * 1000
        if self._warm:
            return Answer(text="", audio=name, latency_ms=latency_ms, first_byte_ms=first_byte_ms)
        self._warm = True
        usage = {WARM_UP: latency_ms, WARM_UP_FIRST_BYTE: first_byte_ms}
        return Answer(text="", audio=name, usage=usage)

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()


def keep_clip(folder: str, clip: bytes) -> str:
    """Write a clip, whole or not at all, under its digest, and return its path in the run."""
    name = sha256_bytes(clip).removeprefix(PREFIX) + ".wav"
    path = Path(folder) / name
    if not path.is_file():
        storage.write_bytes(path, clip)
    return f"{path.parent.name}/{name}"


def _protocol(detail: str) -> Failure:
    return Failure(reason=FailureReason.PROTOCOL, detail=detail)
