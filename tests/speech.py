"""Real speech for tests: spoken by espeak-ng here, or taken from the bundled dataset."""

import json
import shutil
import subprocess
from pathlib import Path

DATASET = Path(__file__).resolve().parents[1] / "datasets" / "assistant-commands"
SENTENCES = ("please cancel my order", "what is the weather today", "turn on the kitchen lights")


def spoken(folder: Path) -> list[Path]:
    """Return a few files with English speech; empty where there is neither voice nor dataset."""
    if (espeak := shutil.which("espeak-ng")) is None:
        return _bundled()
    paths = [folder / f"spoken{i}.wav" for i in range(len(SENTENCES))]
    for path, sentence in zip(paths, SENTENCES, strict=True):
        subprocess.run([espeak, "-v", "en-us", "-s", "140", "-w", path, sentence], check=True)
    return paths


def _bundled() -> list[Path]:
    manifest = DATASET / "manifest.jsonl"
    if not manifest.is_file():
        return []
    lines = manifest.read_text().splitlines()
    paths = [DATASET / json.loads(line)["audio_filepath"] for line in lines]
    return [path for path in paths if path.is_file()][: len(SENTENCES)]
