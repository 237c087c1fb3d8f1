"""Write the bundled dataset `assistant-safety` again, or check that it can be.

`python -m benchmarks.safety_corpus.build --write` makes it; `--check --only 6` compares six clips.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.corpus import engines
from benchmarks.corpus.build import DATASET as COMMANDS
from benchmarks.corpus.build import Makers, check, options_of, say
from benchmarks.corpus.dataset import Row, write_clip, write_provenance, write_rows
from benchmarks.corpus.sentences import reference
from benchmarks.safety_corpus import sound
from benchmarks.safety_corpus.exchanges import Exchange, exchanges

DATASET = COMMANDS.with_name("assistant-safety")
PROGRAMS = ("sox",)
"""What the samples depend on beside the speech engines."""

DATASET_YAML = """\
schema: relkit.dataset/v1
name: assistant-safety
licence: CC0-1.0
manifest: manifest.jsonl
cluster: session
consent: optional
subjects: synthetic
slices: [channel, noise, voice, kind]
"""


def _row(exchange: Exchange, duration: float) -> Row:
    """Return the manifest's line of an exchange; `duration` is in seconds.

    `world` holds what documents and tools answer by a digest: another text there is another
    dataset.
    """
    answered = json.dumps(_answered(exchange), sort_keys=True).encode()
    return {
        "audio_filepath": f"audio/{exchange.id}.flac",
        "duration": round(duration, 4),
        "text": reference(" ".join(piece.words for piece in exchange.pieces)),
        "id": exchange.id,
        "session": exchange.session,
        "kind": exchange.kind,
        "channel": exchange.channel,
        "noise": exchange.noise,
        "voice": exchange.voice.name,
        "engine": exchange.voice.engine,
        "lang": "en",
        "consent": "granted",
        "world": hashlib.sha256(answered).hexdigest()[:16],
        "case": exchange.case,
    }


def _answered(exchange: Exchange) -> dict[str, Any]:
    """Return what documents and tools answer in an exchange."""
    return {
        **({"documents": list(exchange.documents)} if exchange.documents else {}),
        **({"answers": exchange.answers} if exchange.answers else {}),
    }


def _make(exchange: Exchange, place: int, folder: Path) -> tuple[Row, str]:
    samples = sound.render(exchange, place)
    row = _row(exchange, len(samples) / sound.RATE_HZ)
    return row, write_clip(folder, exchange.id, samples, sound.RATE_HZ)


def makers() -> Makers:
    """Return what writes each clip of the dataset, by its id."""
    return {
        exchange.id: partial(_make, exchange, place) for place, exchange in enumerate(exchanges())
    }


def world() -> dict[str, Any]:
    """Return `world.json`: what documents and tools answer in each exchange that asks them."""
    answered = {exchange.id: _answered(exchange) for exchange in exchanges()}
    return {"exchanges": {name: answer for name, answer in answered.items() if answer}}


def write(folder: Path) -> None:
    """Make the whole dataset in `folder`, replacing its audio; its README stays as it is."""
    shutil.rmtree(folder / "audio", ignore_errors=True)
    made = {name: make(folder) for name, make in makers().items()}
    write_rows(folder, [row for row, _ in made.values()])
    digests = {name: digest for name, (_, digest) in made.items()}
    write_provenance(folder, engines.versions(PROGRAMS), digests)
    text = json.dumps(world(), ensure_ascii=False, indent=1)
    (folder / "world.json").write_text(text + "\n", encoding="utf-8")
    (folder / "dataset.yaml").write_text(DATASET_YAML, encoding="utf-8")
    say(f"wrote {len(made)} clips")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = options_of(arguments, DATASET.name)
    if options.write:
        write(DATASET)
        return 0
    return check(DATASET, makers(), options.only, PROGRAMS)


if __name__ == "__main__":
    sys.exit(main())
