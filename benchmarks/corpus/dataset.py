"""The dataset's files: FLAC, manifest, dataset.yaml and where every sample came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import soundfile

from benchmarks.corpus import backgrounds, design, dsp, engines, render, sentences
from benchmarks.corpus.backgrounds import Background
from benchmarks.corpus.design import Clip

DATASET_YAML = """\
schema: relkit.dataset/v1
name: assistant-commands
licence: CC0-1.0
manifest: manifest.jsonl
cluster: voice
consent: optional
subjects: synthetic
slices: [accent, intent, noise, snr, channel, rate]
bins: [{name: length, column: duration, edges: [1, 2, 4]}]
"""

Item = Clip | Background
Row = dict[str, Any]


def items() -> list[Item]:
    """Return everything in the dataset, sorted by id."""
    clips = design.clips(sentences.load())
    return sorted([*clips, *backgrounds.BACKGROUNDS], key=lambda item: item.id)


def samples_of(item: Item, everyone: Sequence[Item]) -> tuple[dsp.Samples, int]:
    """Return an item's 16-bit samples, shape (n,), and their rate in Hz."""
    if isinstance(item, Background):
        return backgrounds.render(item)
    return render.render(item, [other for other in everyone if isinstance(other, Clip)])


def digest(samples: dsp.Samples) -> str:
    """Return the SHA-256 of 16-bit little-endian samples, shape (n,)."""
    if int(np.abs(samples).max()) >= dsp.FULL_SCALE:
        message = "samples do not fit 16 bits"
        raise ValueError(message)
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def _spoken_row(clip: Clip) -> Row:
    """Return the manifest's columns that only a spoken clip has a value for."""
    cell = clip.cell
    return {
        "text": clip.sentence.text,
        "voice": clip.voice.name,
        "accent": cell.accent,
        "intent": clip.sentence.intent,
        "noise": cell.noise,
        "snr": cell.snr,
        "channel": cell.channel,
        "rate": cell.rate,
        "engine": clip.voice.engine,
        "subset": cell.subset,
        "entities": [asdict(entity) for entity in clip.sentence.entities],
    }


def _background_row(item: Background) -> Row:
    """Return the columns of a clip without speech; it has no accent, SNR or rate."""
    return {
        "text": "",
        "voice": item.voice,
        "intent": "silence",
        "noise": item.noise,
        "channel": item.channel,
        "engine": "none",
        "subset": item.subset,
        "entities": [],
    }


_KEYS = (
    *("audio_filepath", "duration", "text", "id", "voice", "accent", "intent", "noise", "snr"),
    *("channel", "rate", "engine", "lang", "consent", "subset", "entities"),
)


def row(item: Item, duration: float) -> Row:
    """Return an item's line of the manifest; `duration` is in seconds."""
    own = _spoken_row(item) if isinstance(item, Clip) else _background_row(item)
    own |= {
        "audio_filepath": f"audio/{item.id}.flac",
        "duration": round(duration, 4),
        "id": item.id,
        "lang": "en",
        "consent": "granted",
    }
    return {key: own[key] for key in _KEYS if key in own}


def write_audio(folder: Path, item: Item, everyone: Sequence[Item]) -> tuple[Row, str]:
    """Store an item as FLAC, read it back, and return its manifest line and its digest."""
    samples, rate_hz = samples_of(item, everyone)
    return row(item, len(samples) / rate_hz), write_clip(folder, item.id, samples, rate_hz)


def write_clip(folder: Path, name: str, samples: dsp.Samples, rate_hz: int) -> str:
    """Store samples as FLAC, read them back, and return their digest."""
    path = folder / "audio" / f"{name}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.int16), rate_hz, subtype="PCM_16", format="FLAC")
    return stored_digest(path)


def stored_digest(path: Path) -> str:
    """Return the digest of a stored clip's decoded samples."""
    samples, _ = soundfile.read(path, dtype="int16")
    return digest(np.asarray(samples, dtype=np.int64))


def write_tables(folder: Path, rows: Sequence[Row], digests: dict[str, str]) -> None:
    """Write the manifest, dataset.yaml and provenance.json."""
    write_rows(folder, rows)
    (folder / "dataset.yaml").write_text(DATASET_YAML, encoding="utf-8")
    write_provenance(folder, engines.versions(), digests)


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Write the manifest."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


OF_SAMPLES = "SHA-256 of the decoded samples as 16-bit little-endian integers"


def write_provenance(
    folder: Path, versions: dict[str, str], digests: dict[str, str], *, of: str = OF_SAMPLES
) -> None:
    """Write provenance.json: what the samples were made with, and their digests by id."""
    provenance = {
        "engines": versions,
        "made_with": {
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
        },
        "digest_of": of,
        "samples": digests,
    }
    text = json.dumps(provenance, ensure_ascii=False, indent=1)
    (folder / "provenance.json").write_text(text + "\n", encoding="utf-8")
