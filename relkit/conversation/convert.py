"""``relkit events convert``: logs of voice frameworks to recorded answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from relkit.conversation.livekit_files import livekit_conversation
from relkit.conversation.log_files import log_lines
from relkit.conversation.logs import LogLine, RecordedConversation, union
from relkit.conversation.ports import LogReader
from relkit.conversation.rtvi_files import rtvi_conversation
from relkit.conversation.types import ConvertedEvents, EventFormat
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer

_ONE_A_FILE: Mapping[EventFormat, Callable[..., RecordedConversation]] = {
    "rtvi": rtvi_conversation,
    "livekit": livekit_conversation,
}


def convert(
    form: EventFormat, paths: Sequence[str], reader: LogReader
) -> Iterator[RecordedConversation]:
    """Yield the conversations of files, in their order; raises InvalidInput.

    A file that holds one conversation gives it its name (without the ending): that is the id in
    the dataset that it belongs to. Two conversations of one name are refused.
    """
    places: dict[str, str] = {}
    for path in paths:
        source = shown(PurePath(path).name)
        for conversation in _conversations(form, path, source, reader):
            if conversation.id in places:
                raise InvalidInput(
                    f'{source}: the conversation "{shown(conversation.id)}" stands already in '
                    f"{places[conversation.id]}",
                    hint="a file's name is the id of its conversation: rename one of them",
                )
            places[conversation.id] = source
            yield conversation


def _conversations(
    form: EventFormat, path: str, source: str, reader: LogReader
) -> Iterator[RecordedConversation]:
    lines: Iterable[LogLine] = log_lines(reader.read(path), source=source)
    name = PurePath(path).name.partition(".")[0]
    if not name:
        raise UsageError(f"{source}: a file without a name gives a conversation none")
    yield _ONE_A_FILE[form](lines, source=source, name=name)


def summary(form: EventFormat, conversations: Sequence[RecordedConversation]) -> ConvertedEvents:
    """Return what was converted, in counts."""
    answers = [item.outcome for item in conversations if isinstance(item.outcome, Answer)]
    return ConvertedEvents(
        format=form,
        conversations=len(conversations),
        failures=len(conversations) - len(answers),
        events=sum(len(answer.events) for answer in answers),
        tool_calls=sum(len(answer.tool_calls) for answer in answers),
        not_measured=union(item.not_measured for item in conversations),
        unknown=union(item.unknown for item in conversations),
    )
