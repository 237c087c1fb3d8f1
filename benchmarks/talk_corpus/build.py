"""Write the bundled dataset `assistant-talks` again, or check that it can be.

`python -m benchmarks.talk_corpus.build --write` makes it; `--check --only 6` compares six
conversations.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.corpus import dsp, engines, noise
from benchmarks.corpus.build import DATASET as COMMANDS
from benchmarks.corpus.build import Makers, check, options_of, say
from benchmarks.corpus.dataset import Row, write_clip, write_provenance, write_rows
from benchmarks.corpus.render import dry
from benchmarks.talk_corpus.scripts import DEMO, PAUSE_MS, Document, Line, Talk, talks

DATASET = COMMANDS.with_name("assistant-talks")
RATE_HZ = dsp.WIDEBAND_HZ

DATASET_YAML = """\
schema: relkit.dataset/v1
name: assistant-talks
licence: CC0-1.0
manifest: manifest.jsonl
cluster: conversation
consent: optional
subjects: synthetic
slices: [scenario, noise, accent, voice]
"""

SNR_DB = 10
ECHO_DB = -30
KITCHEN = "kitchen"
_KITCHEN_S = 6.0
_STEP = 64  # samples are stored with 10 bits: files of 60 % the size, a floor at -62 dBFS


def _bursts(key: str, bursts: Sequence[tuple[float, float, float]], width: int) -> dsp.Samples:
    """Return noise that dies away, shape (n,): of each burst start, time constant (s) and gain.

    Each sample is the mean of `width` white ones, which takes away what is above.
    """
    end = max(start + 5 * decay for start, decay, _ in bursts)
    total = np.zeros(round(end * RATE_HZ))
    smooth = np.convolve(noise.white(key, len(total) + width), np.ones(width) / width, "valid")
    for start, decay, gain in bursts:
        at = round(start * RATE_HZ)
        time = np.arange(len(total) - at) / RATE_HZ
        total[at:] += gain * np.minimum(time / 0.01, 1.0) * np.exp(-time / decay) * smooth[at:-1]
    return dsp.level(dsp.trim(dsp.quantise(total)), RATE_HZ)


def _dishes() -> dsp.Samples:
    """Return plates that are put down: three strokes of a few high tones, shape (n,)."""
    time = np.arange(round(0.9 * RATE_HZ)) / RATE_HZ
    total = np.zeros(len(time))
    for start in (0.0, 0.17, 0.41):
        after = np.clip(time - start, 0.0, None)
        for hertz in (2_150.0, 3_370.0, 4_710.0):
            total += (time >= start) * np.exp(-after / 0.05) * np.sin(2 * np.pi * hertz * after)
    return dsp.level(dsp.trim(dsp.quantise(3_000 * total)), RATE_HZ)


@cache
def sound(name: str) -> dsp.Samples:
    """Return a sound that is no speech, shape (n,): a cough, a door, dishes, or a kitchen."""
    if name == "cough":
        return _bursts("cough", [(0.0, 0.05, 1.0), (0.24, 0.08, 0.8)], 3)
    if name == "door":
        return _bursts("door", [(0.0, 0.12, 1.0), (0.06, 0.07, 0.6)], 24)
    if name == "dishes":
        return _dishes()
    length = round(_KITCHEN_S * RATE_HZ)
    steady = dsp.level(noise.swelling("kitchen", length), RATE_HZ)
    for at in (1.3, 3.1, 4.6):  # somebody puts dishes away, a little louder than the fan
        dishes = dsp.scale(sound("dishes"), 0.7)
        start = round(at * RATE_HZ)
        steady[start : start + len(dishes)] += dishes
    return steady


def render(talk: Talk, line: Line) -> dsp.Samples:
    """Return an entry's 16-bit samples at 16 kHz, shape (n,); a pause is digital silence."""
    if line.sound is not None:
        return _stored(sound(line.sound))
    voice = talk.voices[1 if line.other else 0]
    # "Uh-huh" is short among people, too: most of what is said so lasts less than half a second.
    rate = "fast" if line.label == "backchannel" else "normal"
    parts = [dry(voice, rate, part.strip()) for part in line.said.split("|")]
    samples = parts[0]
    for part in parts[1:]:
        # Both ends have silence already, which is a part of the pause.
        edges = 2 * round(dsp.EDGE_S * RATE_HZ)
        gap = np.zeros(max(0, PAUSE_MS * RATE_HZ // 1000 - edges), dtype=np.int64)
        samples = np.concatenate([samples, gap, part])
    return _stored(samples)


def _stored(samples: dsp.Samples) -> dsp.Samples:
    stepped = dsp.quantise(dsp.under_peak_limit(samples) / _STEP) * _STEP
    return np.asarray(stepped, dtype=np.int64)


def _clip(talk: Talk, line: Line) -> str:
    """Return the name of an entry's clip: the same words of one voice are one file."""
    if line.sound is not None:
        return line.sound
    voice = talk.voices[1 if line.other else 0].name
    words = "-".join(line.text.replace("'", "").split()[-4:])
    return f"{voice}-{words}-{hashlib.sha256(line.said.encode()).hexdigest()[:4]}"


def _entry(talk: Talk, name: str, line: Line) -> Document:
    entry: Document = {"turn": name, "audio_filepath": f"audio/{_clip(talk, line)}.flac"}
    if line.text:
        entry["text"] = line.text
    if line.label != "turn":
        entry["label"] = line.label
    entry["when"] = {"after": line.after, "ms": line.ms}
    return entry


def _acoustics(talk: Talk, place: int) -> Document:
    if talk.room == "kitchen":
        noisy = {"noise": f"audio/{KITCHEN}.flac", "snr_db": SNR_DB, "seed": place}
        return {"acoustics": noisy}
    return {"acoustics": {"echo_db": ECHO_DB}} if talk.room == "echo" else {}


def _row(talk: Talk, place: int, seconds: float) -> Row:
    """Return the manifest's line of a conversation; `seconds` is the length of its clips."""
    user, _ = talk.voices
    names = [f"{'u' if line.label == 'turn' else 'x'}{at}" for at, line in enumerate(talk.lines, 1)]
    script = [_entry(talk, name, line) for name, line in zip(names, talk.lines, strict=True)]
    return {
        "id": talk.id,
        "conversation": talk.id,
        "scenario": talk.scenario,
        "voice": user.name,
        "accent": user.accent,
        "noise": talk.room,
        "engine": user.engine,
        "lang": "en",
        "consent": "granted",
        "subset": "demo" if talk.number in DEMO.get(talk.scenario, ()) else "full",
        "duration": round(seconds, 4),
        "script": script,
        **_acoustics(talk, place),
        "expect": talk.expect,
    }


def _make(talk: Talk, place: int, folder: Path) -> tuple[Row, str]:
    """Write a conversation's clips, and return its row and a digest over all of them."""
    seconds, digests = 0.0, []
    for line in talk.lines:
        samples = render(talk, line)
        seconds += len(samples) / RATE_HZ
        digests.append(write_clip(folder, _clip(talk, line), samples, RATE_HZ))
    if talk.room == "kitchen":
        digests.append(write_clip(folder, KITCHEN, _stored(sound(KITCHEN)), RATE_HZ))
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return _row(talk, place, seconds), whole


def makers() -> Makers:
    """Return what writes the clips of each conversation, by its id."""
    return {talk.id: partial(_make, talk, place) for place, talk in enumerate(talks())}


def write(folder: Path) -> None:
    """Make the whole dataset in `folder`, replacing its audio; its README stays as it is."""
    shutil.rmtree(folder / "audio", ignore_errors=True)
    made = {name: make(folder) for name, make in makers().items()}
    write_rows(folder, [row for row, _ in made.values()])
    digests = {name: digest for name, (_, digest) in made.items()}
    of = "SHA-256 over the SHA-256 of each clip's decoded 16-bit samples, one a line, in order"
    write_provenance(folder, engines.versions(), digests, of=of)
    (folder / "dataset.yaml").write_text(DATASET_YAML, encoding="utf-8")
    say(f"wrote {len(made)} conversations")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = options_of(arguments, DATASET.name)
    if options.write:
        write(DATASET)
        return 0
    return check(DATASET, makers(), options.only)


if __name__ == "__main__":
    sys.exit(main())
