"""Builds what reads conversations that are over: logs of others, recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit.conversation.logs import RecordedConversation
    from relkit.conversation.types import ConvertedEvents, EventFormat


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

    conversations = list(convert(form, paths, LogFilesOnDisk()))
    text = "".join(_answer_line(item) + "\n" for item in conversations)
    if out is not None:
        storage.write_text(out, text)
        text = ""
    return summary(form, conversations), text


def _answer_line(conversation: "RecordedConversation") -> str:
    from relkit.datasets.types import Answer
    from relkit.evaluation.run_files import compact_json, render_answer

    if isinstance(conversation.outcome, Answer):
        return render_answer(conversation.id, conversation.outcome)
    detail = conversation.outcome.detail or conversation.outcome.reason.value
    return compact_json({"id": conversation.id, "error": detail})
