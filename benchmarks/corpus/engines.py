"""Speech engines as programs: text in, samples out, with the versions that made them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpus.dsp import Samples
from benchmarks.corpus.voices import Voice

PROGRAMS = ("espeak-ng", "flite", "festival")
PACKAGES = (
    "espeak-ng",
    "espeak-ng-data",
    "libespeak-ng1",
    "flite",
    "libflite1",
    "festival",
    "festvox-kallpc16k",
    "festvox-us-slt-hts",
)
_TIMEOUT_S = 60


class EngineError(Exception):
    """An engine is not installed or did not do its work."""


def run(arguments: Sequence[str], allowed: int = 0) -> str:
    """Run a program by its name on the search path and return what it printed.

    `allowed` is an exit status that counts as success beside 0.
    """
    program = shutil.which(arguments[0])
    if program is None:
        message = f"{arguments[0]} is not installed"
        raise EngineError(message)
    done = subprocess.run(
        [program, *arguments[1:]], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode not in {0, allowed}:
        message = f"{arguments[0]} failed: {done.stderr.strip()}"
        raise EngineError(message)
    return done.stdout + done.stderr


def _espeak(voice: Voice, rate: str, spoken: str, wav: Path) -> None:
    """Speak with espeak-ng; its rate is in words a minute, with 20 ms between words."""
    words_a_minute = {"slow": 138, "normal": 162, "fast": 188}[rate]
    run(
        (
            *("espeak-ng", "-v", voice.model, "-p", str(voice.pitch)),
            *("-s", str(words_a_minute), "-g", "2", "-w", str(wav), spoken),
        )
    )


def _flite(voice: Voice, rate: str, spoken: str, wav: Path) -> None:
    """Speak with flite; its rate is a factor on durations."""
    stretch = {"slow": "1.15", "normal": "1.0", "fast": "0.87"}[rate]
    pitch = ("--setf", f"int_f0_target_mean={voice.pitch}") if voice.pitch else ()
    run(
        (
            *("flite", "-voice", voice.model, "--setf", f"duration_stretch={stretch}"),
            *(*pitch, "-t", spoken, "-o", str(wav)),
        )
    )


def _festival(voice: Voice, rate: str, spoken: str, wav: Path) -> None:
    """Speak with festival: a stretch for diphone voices, a speed for the HTS engine."""
    stretch = {"slow": "1.15", "normal": "1.0", "fast": "0.87"}[rate]
    speed = {"slow": "0.87", "normal": "1.0", "fast": "1.15"}[rate]
    lines = [f"(voice_{voice.model})"]
    if voice.model.endswith("_hts"):
        lines += [f'(set! hts_engine_params (append hts_engine_params (list (list "-r" {speed}))))']
    lines += [
        f"(Parameter.set 'Duration_Stretch {stretch})",
        f'(utt.save.wave (utt.synth (Utterance Text "{spoken}")) "{wav}" \'riff)',
    ]
    script = wav.with_suffix(".scm")
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(("festival", "-b", str(script)))


_SPEAK = {"espeak-ng": _espeak, "flite": _flite, "festival": _festival}


def synthesise(voice: Voice, rate: str, spoken: str) -> tuple[Samples, int]:
    """Return the engine's 16-bit samples, shape (n,), and their rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "spoken.wav")
        _SPEAK[voice.engine](voice, rate, spoken, wav)
        samples, rate_hz = soundfile.read(wav, dtype="int16")
    return np.asarray(samples, dtype=np.int64), int(rate_hz)


def _package_version(package: str) -> str:
    """Return Debian's version of a package, or `not installed`."""
    try:
        return run(("dpkg-query", "-W", "-f", "${Version}", package)).strip()
    except EngineError:
        return "not installed"


def _program_version(program: str) -> str:
    """Return the line in which an engine names its version, without its folders."""
    try:
        printed = run((program, "--version"), allowed=1)  # flite prints its version and exits 1
    except EngineError:
        return "not installed"
    lines = [line for line in printed.splitlines() if any(sign.isdigit() for sign in line)]
    named = next((line for line in lines if "version" in line.lower()), lines[0])
    return named.split("  Data at:")[0].removeprefix(f"{shutil.which(program)}:").strip()


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions the samples depend on, as the engines and Debian state them.

    `more` are further programs, each in a package of its name.
    """
    programs = {f"{name} --version": _program_version(name) for name in (*PROGRAMS, *more)}
    packages = {f"debian {name}": _package_version(name) for name in (*PACKAGES, *more)}
    return programs | packages
