"""Builds what reads conversations that are over: logs of others, recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit.conversation.logs import RecordedConversation
    from relkit.conversation.ports import SideSamples, SpeechDetector
    from relkit.conversation.types import (
        ConvertedEvents,
        EventFormat,
        Listening,
        SoundSpan,
        VadKind,
    )


class LogFilesOnDisk:
    """Implements LogReader."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; raises InvalidInput."""
        from relkit.core import storage
        from relkit.core.yaml_text import shown

        return storage.read_bytes(Path(path), what=shown(Path(path).name))


def convert_events(
    form: "EventFormat", paths: Sequence[str], out: Path | None
) -> "tuple[ConvertedEvents, str]":
    """Return what was converted, and the answers as JSON lines where they go to no file.

    ``out`` is written whole or not at all; raises InvalidInput and StorageFailed.
    """
    from relkit.conversation.convert import convert, summary
    from relkit.core import storage
    from relkit.core.errors import InvalidInput

    if out is not None and any(_is_same(out, path) for path in paths):
        raise InvalidInput("--out is a file that is read: it would be lost", hint="name another")
    conversations = list(convert(form, paths, LogFilesOnDisk()))
    text = "".join(_answer_line(item) + "\n" for item in conversations)
    if out is not None:
        storage.write_text(out, text)
        text = ""
    return summary(form, conversations), text


def _is_same(out: Path, path: str) -> bool:
    """Return whether both are one file, by whatever names."""
    try:
        return out.samefile(path)
    except OSError:  # one of them is not there
        return False


def _answer_line(conversation: "RecordedConversation") -> str:
    from relkit.datasets.types import Answer
    from relkit.evaluation.run_files import compact_json, render_answer

    if isinstance(conversation.outcome, Answer):
        return render_answer(conversation.id, conversation.outcome)
    detail = conversation.outcome.detail or conversation.outcome.reason.value
    return compact_json({"id": conversation.id, "error": detail})


AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"})
_SIDES = {"left": 0, "1": 0, "right": 1, "2": 1}


def listen(
    path: Path | None, *, user: str | None, agent: str | None, vad: "VadKind"
) -> "Listening":
    """Return the turns of a recording, of a folder of them, or of the files of both sides.

    ``user`` and ``agent`` are channels (left, right, 1, 2), or files where there is no ``path``.
    Raises UsageError, InvalidInput and NoData.
    """
    from relkit.adapters.channels import SoundfileChannels
    from relkit.conversation.listen import listen as measure
    from relkit.core.errors import UsageError

    if path is None:
        if user is None or agent is None:
            raise UsageError(
                "nothing to listen to", hint="name a recording, or --user FILE --agent FILE"
            )
        recordings: list[tuple[str, tuple[str, ...]]] = [(_shown(Path(user)), (user, agent))]
        sides = (0, 1)
    else:
        recordings = [(_shown(file), (str(file),)) for file in _audio_files(path)]
        sides = (_side(user or "left", "--user"), _side(agent or "right", "--agent"))
        if sides[0] == sides[1]:
            raise UsageError(
                "--user and --agent are the same channel", hint="--user left --agent right"
            )
    return measure(
        recordings, sides=sides, vad=vad, reader=SoundfileChannels(), detector=_detector(vad)
    )


def _side(written: str, option: str) -> int:
    from relkit.core.errors import UsageError
    from relkit.core.yaml_text import shown

    if written not in _SIDES:
        raise UsageError(
            f'{option}: "{shown(written)}" is no channel: it is left, right, 1 or 2',
            hint="files of both sides are given without PATH",
        )
    return _SIDES[written]


def _audio_files(path: Path) -> list[Path]:
    from relkit.core.errors import InvalidInput
    from relkit.core.yaml_text import shown

    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_ENDINGS)
    if not files:
        raise InvalidInput(
            f"{shown(path.name)}: no recording in this folder", hint="WAV, FLAC, Ogg, Opus or MP3"
        )
    return files


def _shown(path: Path) -> str:
    """Return a path from this folder, or its name: never one of the machine."""
    from relkit.core.yaml_text import shown

    absolute, here = path.absolute(), Path.cwd()
    inside = absolute.is_relative_to(here)
    return shown(absolute.relative_to(here).as_posix() if inside else path.name)


def _detector(vad: "VadKind") -> "SpeechDetector":
    if vad == "silero":
        from relkit.adapters.voice_activity import SileroVad

        return SileroVad()
    return _Energy()


class _Energy:
    """Implements SpeechDetector by levels."""

    def speech(self, samples: "SideSamples", sample_rate: int) -> "tuple[SoundSpan, ...]":
        from relkit.conversation.segments import energy_spans

        return energy_spans(samples, sample_rate)
