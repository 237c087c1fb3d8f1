"""Datasets of conversations: digests, locks and bounds of speech over the clips of scripts."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from relkit.adapters.audio import SoundfileReader
from relkit.adapters.datasets import DatasetFiles
from relkit.adapters.git import GitRevisions
from relkit.core.errors import InvalidInput
from relkit.curation.check import _listen
from relkit.datasets.types import Dataset, DatasetLock, TrackedAudio
from relkit.datasets.versions import compare_snapshots, coverage, lock, stats
from tests.builders import commit_all, git, write_dataset

RATE = 16_000
Rows = list[dict[str, Any]]


class PlainAudio:
    """Puts nothing under DVC."""

    def track(self, folder: Path, outs: Sequence[str]) -> TrackedAudio:
        """Say that every path is there."""
        assert folder.is_dir()
        return TrackedAudio(
            outs=dict.fromkeys(outs, "b2" * 16), untracked=0, initialised=False, remote=False
        )


def tone(path: Path, *, before: float = 0.1, sound: float = 0.3, level: float = 0.1) -> None:
    """Write silence, a tone and 200 ms of silence again; lengths in s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = level * np.sin(np.arange(round(sound * RATE)) * 0.2)
    quiet = np.zeros(round(before * RATE)), np.zeros(RATE // 5)
    soundfile.write(path, np.concatenate([quiet[0], wave, quiet[1]]), RATE, subtype="PCM_16")


def conversation(name: str = "talk-1", **columns: object) -> dict[str, Any]:
    """Return a conversation of two turns and a cough, in a noisy room."""
    script = [
        {"turn": "u1", "audio_filepath": "audio/a.flac", "text": "set a timer",
         "when": {"after": "start", "ms": 600}},
        {"turn": "u2", "audio_filepath": "audio/b.flac", "text": "stop",
         "when": {"after": "agent_speech_start", "ms": 1200}},
        {"turn": "x1", "audio_filepath": "audio/a.flac", "label": "vocal_tic",
         "when": {"after": "agent_speech_stop", "turn": "u2"}},
    ]  # fmt: skip
    sound = {"noise": "audio/hum.flac", "snr_db": 10}
    given = {"id": name, "conversation": name, "speaker": "s1", "script": script}
    outcome = {"tools": [{"name": "set_timer", "arguments": {"minutes": 10}}]}
    return given | {"acoustics": sound, "expect": outcome} | columns


def written(folder: Path, rows: Rows | None = None) -> Path:
    """Write a dataset of conversations with the audio that they name."""
    write_dataset(folder, rows or [conversation()], "slices: [speaker]\n", audio=False)
    tone(folder / "audio" / "a.flac")
    tone(folder / "audio" / "b.flac", before=0.05)
    tone(folder / "audio" / "hum.flac", before=0.0, level=0.05)
    return folder


def store(folder: Path) -> DatasetFiles:
    """Return the datasets beside a folder."""
    return DatasetFiles(folder.parent, cache=folder.parent / ".cache", revisions=GitRevisions)


def load(folder: Path) -> Dataset:
    """Load the dataset in a folder."""
    return store(folder).load(folder.name, rev=None)


def locked(folder: Path) -> DatasetLock:
    """Lock the dataset in a folder."""
    return lock(folder.name, store(folder), PlainAudio(), SoundfileReader()).lock


def test_a_lock_holds_every_clip_and_when_speech_begins_in_it(tmp_path: Path) -> None:
    """All files have a SHA-256, clips of scripts bounds, which the loader puts into entries."""
    folder = written(tmp_path / "talks")
    assert [entry.bounds_ms for entry in load(folder).utterances[0].script] == [None] * 3
    audio = locked(folder).audio
    assert sorted(audio.sha256) == ["audio/a.flac", "audio/b.flac", "audio/hum.flac"]
    assert sorted(audio.speech) == ["audio/a.flac", "audio/b.flac"]
    assert audio.speech["audio/a.flac"] == pytest.approx((100, 400), abs=2)
    (item,) = load(folder).utterances
    assert [entry.bounds_ms for entry in item.script] == [
        audio.speech[name] for name in ("audio/a.flac", "audio/b.flac", "audio/a.flac")
    ]
    assert item.audio_paths == tuple(str(folder / "audio" / f"{n}.flac") for n in ("a", "b", "hum"))
    assert item.spoken == "set a timer stop"


def test_a_clip_that_changed_has_no_bounds_any_more(tmp_path: Path) -> None:
    """What was locked of other bytes is not believed."""
    folder = written(tmp_path / "talks")
    locked(folder)
    tone(folder / "audio" / "a.flac", before=0.3)
    bounds = [entry.bounds_ms for entry in load(folder).utterances[0].script]
    assert (bounds[0], bounds[2]) == (None, None)
    assert bounds[1] is not None
    assert store(folder).snapshot("talks", rev=None).state == "stale"


def _script(rows: Rows, **changes: object) -> None:
    rows[0]["script"][1] = rows[0]["script"][1] | changes


CHANGES: dict[str, Callable[[Rows, Path], object]] = {
    "a clip": lambda _, folder: tone(folder / "audio" / "b.flac", before=0.2),
    "the noise": lambda _, folder: tone(folder / "audio" / "hum.flac", level=0.2),
    "a missing clip": lambda _, folder: (folder / "audio" / "a.flac").unlink(),
    "words": lambda rows, _: _script(rows, text="stop it"),
    "a label": lambda rows, _: _script(rows, label="backchannel"),
    "a moment": lambda rows, _: _script(rows, when={"after": "agent_speech_start", "ms": 900}),
    "the acoustics": lambda rows, _: rows[0]["acoustics"].update(snr_db=20),
    "the outcome": lambda rows, _: rows[0]["expect"].update(no_tools=["make_transfer"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_covers_all_of_a_conversation(tmp_path: Path, change: str) -> None:
    """Every part of what is said, when, in which room and what has to come of it."""
    rows = [conversation()]
    folder = written(tmp_path / "talks", rows)
    before = load(folder).version.digest
    assert load(written(tmp_path / "elsewhere" / "talks", rows)).version.digest == before
    CHANGES[change](rows, folder)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    assert load(folder).version.digest != before


def _stereo(path: Path) -> None:
    soundfile.write(path, np.full((RATE, 2), 0.1), RATE)


BROKEN: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "silence": (lambda path: tone(path, level=0.0), "has no speech"),
    "a click": (lambda path: tone(path, sound=0.01), "has no speech"),
    "stereo": (_stereo, "has 2 channels"),
    "text": (lambda path: path.write_text("no audio"), "cannot be used: unreadable"),
}


@pytest.mark.parametrize("clip", ["b", "hum"])
@pytest.mark.parametrize("kind", BROKEN)
def test_clips_without_speech_are_refused_with_their_line(
    tmp_path: Path, kind: str, clip: str
) -> None:
    """File, line, conversation and what to do; nothing is locked."""
    folder = written(tmp_path / "talks")
    write, message = BROKEN[kind]
    write(folder / "audio" / f"{clip}.flac")
    with pytest.raises(InvalidInput) as caught:
        locked(folder)
    place = f'talks/manifest.jsonl, line 1: the clip "audio/{clip}.flac" of the conversation "tal'
    assert caught.value.message.startswith(place)
    assert message in caught.value.message
    assert caught.value.hint
    assert not (folder / "lock.json").exists()


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    """It cannot be locked, and the message says which."""
    folder = written(tmp_path / "talks")
    (folder / "audio" / "hum.flac").unlink()
    with pytest.raises(InvalidInput, match=r"talks/audio/hum.flac, which is missing"):
        locked(folder)


def test_clips_stay_inside_the_dataset(tmp_path: Path) -> None:
    """A script that reaches outside is refused with its line."""
    rows = [conversation()]
    _script(rows, audio_filepath="../../secret.wav")
    folder = written(tmp_path / "talks", rows)
    with pytest.raises(InvalidInput, match=r"manifest.jsonl, line 1: the audio path leaves"):
        load(folder)


def test_a_greeting_of_the_agent_can_be_waited_for(tmp_path: Path) -> None:
    """The first entry may wait for the agent, which speaks first."""
    rows = [conversation()]
    rows[0]["script"][0]["when"] = {"after": "agent_speech_stop"}
    assert load(written(tmp_path / "talks", rows)).utterances[0].script[0].when.ms == 0


def test_versions_of_conversations_are_compared(tmp_path: Path) -> None:
    """Other words are a relabelled conversation, other bytes changed audio; both by its id."""
    rows = [conversation(), conversation("talk-2"), conversation("talk-3", duration=1.5)]
    folder = written(tmp_path / "talks", rows)
    git(tmp_path, "init", "--quiet")
    locked(folder)
    commit_all(tmp_path, "talks")
    before = store(folder).snapshot("talks", rev="HEAD")
    assert before.state == "fresh"
    _script(rows, text="stop it")
    rows[1]["script"] = rows[1]["script"][:1]
    tone(folder / "audio" / "b.flac", before=0.4)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    changes = compare_snapshots(before, store(folder).snapshot("talks", rev=None))
    assert changes.relabelled == ("talk-1", "talk-2")
    assert changes.audio == ("talk-1", "talk-2", "talk-3")
    outcome = stats("talks", store(folder))
    assert (outcome.timed, outcome.seconds, outcome.text.words) == (1, 1.5, 12)
    assert [item.seconds for item in coverage(outcome.snapshot.dataset)] == [None, None]


def test_a_check_listens_to_all_clips_of_a_conversation(tmp_path: Path) -> None:
    """Its length is that of its script's clips, its state that of the worst of its files."""
    folder = written(tmp_path / "talks")
    dataset = load(folder)
    facts = _listen(dataset, SoundfileReader(), lambda *_: None)["talk-1"]
    assert (facts.state, facts.sample_rate) == ("ok", RATE)
    assert facts.duration == pytest.approx(0.6 + 0.55 + 0.6)
    (folder / "audio" / "hum.flac").unlink()
    assert _listen(dataset, SoundfileReader(), lambda *_: None)["talk-1"].state == "missing"
