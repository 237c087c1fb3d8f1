"""Say how well the demo agent's recogniser and rules take the turns of `assistant-talks`.

`python -m benchmarks.talk_corpus.hear` decodes every turn by itself, kitchens with their noise, and
gives the texts to the agent's rules: nothing is played, and nobody interrupts anybody.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.corpus.build import say
from benchmarks.talk_corpus.build import DATASET, RATE_HZ
from relkit.adapters.demo_agent.dialogue import VOCABULARY, Dialogue
from relkit.adapters.systems.faster_whisper import FasterWhisperSystem, find_weights
from relkit.conversation.tasks import task_shortfalls
from relkit.datasets.files import parse_manifest
from relkit.datasets.types import Answer, Clip, ScriptEntry, Utterance
from relkit.evaluation.types import FasterWhisper
from relkit.safety.types import ToolCall
from relkit.scoring.words import count_text

Sound = NDArray[np.float32]
_FIGURES = {
    "five": "5", "ten": "10", "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40",
    "fifty": "50", "sixty": "60", "seventy": "70",
}  # fmt: skip
_SILENCE = np.zeros(RATE_HZ // 4, dtype=np.float32)


def _plain(text: str) -> str:
    """Return a text in lower case, without punctuation, its numbers in figures."""
    words = re.sub(r"[^a-z0-9 ]", " ", text.lower().replace("$", "")).split()
    joined = " ".join(_FIGURES.get(word, word) for word in words)
    return re.sub(r"\b([2-9])0 ([1-9])\b", r"\1\2", joined)


def _sound(item: Utterance, entry: ScriptEntry) -> Sound:
    """Return what the agent hears of an entry, its room's noise included, shape (n,)."""
    samples, _ = soundfile.read(DATASET / entry.audio_filepath, dtype="float32")
    samples = np.concatenate([_SILENCE, samples, _SILENCE])
    sound = item.acoustics
    if sound is not None and sound.noise is not None and sound.snr_db is not None:
        noise, _ = soundfile.read(DATASET / sound.noise, dtype="float32")
        active = samples[np.abs(samples) > 10 ** (-50 / 20)]
        ratio = np.sqrt(np.mean(active**2) / np.mean(noise**2)) * 10 ** (-sound.snr_db / 20)
        samples = samples + np.resize(noise, len(samples)) * ratio
    return np.asarray(samples, dtype=np.float32)


def _holds(item: Utterance, texts: list[str]) -> bool:
    """Tell whether the agent's rules do what is expected, given what was heard of each turn."""
    dialogue = Dialogue()
    calls: list[ToolCall] = []
    sentences: list[str] = []
    for text in texts:
        reply = dialogue.hear(text)
        calls += [ToolCall(name=call.name, arguments=dict(call.arguments)) for call in reply.calls]
        sentences += reply.sentences
    if item.expect is None:
        return False
    spoken = " ".join(sentences)
    return task_shortfalls(item.expect, calls, text=spoken, state=dialogue.state()) == ()


def main() -> int:
    """Decode everything and print what was misheard."""
    with tempfile.TemporaryDirectory() as cache:
        system = FasterWhisper(
            model="tiny.en", language="en", cpu_threads=1, initial_prompt=VOCABULARY
        )
        weights = find_weights("tiny.en", base=DATASET, cache=Path(cache), environment=os.environ)
        recogniser = FasterWhisperSystem(system, weights.folder)
    text = (DATASET / "manifest.jsonl").read_text(encoding="utf-8")
    errors = words = failed = 0
    conversations = parse_manifest(text, source="manifest.jsonl")
    for item in conversations:
        heard = []
        for entry in item.script:
            if entry.label != "turn":
                continue
            data = _sound(item, entry).astype("<f4").tobytes()
            clip = Clip(samples=data, sample_rate=RATE_HZ, digest="", path="", whole=False)
            answer = recogniser.answer(clip)
            heard.append(answer.text if isinstance(answer, Answer) else "")
            counts = count_text(_plain(entry.text), _plain(heard[-1]))
            errors += counts.substitutions + counts.deletions + counts.insertions
            words += counts.hits + counts.substitutions + counts.deletions
        if not _holds(item, heard):
            failed += 1
            say(f"{item.id}: {heard}")
    share = f"WER {100 * errors / words:.1f} % of {words} words"
    say(f"{share}, {failed} of {len(conversations)} tasks lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
