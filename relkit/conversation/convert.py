"""``relkit events convert``: logs of voice frameworks to recorded answers."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from relkit.conversation.livekit_files import livekit_conversation
from relkit.conversation.log_files import log_lines
from relkit.conversation.logs import RecordedConversation, union
from relkit.conversation.ports import LogReader
from relkit.conversation.rtvi_files import rtvi_conversation
from relkit.conversation.tick_files import tau2_conversations
from relkit.conversation.trace_files import trace_conversations
from relkit.conversation.twilio_files import twilio_conversations
from relkit.conversation.types import ConvertedEvents, EventFormat
from relkit.core.codec import decode, parse_json
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown
from relkit.datasets.types import Answer


def convert(
    form: EventFormat, paths: Sequence[str], reader: LogReader
) -> Iterator[RecordedConversation]:
    """Yield the conversations of files, in their order; raises InvalidInput.

    A file that holds one conversation gives it its name (without the ending): that is the id in
    the dataset that it belongs to. Two conversations of one name are refused.
    """
    places: dict[str, str] = {}
    groups = [tuple(paths)] if form == "otlp" else [(path,) for path in paths]
    for group in groups:
        source = shown(PurePath(group[0]).name)
        for conversation in _conversations(form, group, source, reader):
            if conversation.id in places:
                raise InvalidInput(
                    f'{source}: the conversation "{shown(conversation.id)}" stands already in '
                    f"{places[conversation.id]}",
                    hint="a file's name is the id of its conversation: rename one of them",
                )
            places[conversation.id] = source
            yield conversation


def _conversations(
    form: EventFormat, paths: tuple[str, ...], source: str, reader: LogReader
) -> Iterable[RecordedConversation]:
    """Return the conversations of one file, or of traces, which may be spread over several."""
    if form == "otlp":
        return trace_conversations(
            (shown(PurePath(path).name), line)
            for path in paths
            for line in log_lines(reader.read(path), source=shown(PurePath(path).name))
        )
    data = reader.read(paths[0])
    if form == "tau2":
        document = parse_json(decode(data, source=source), source=source)
        return tau2_conversations(document, source=source)
    lines = log_lines(data, source=source)
    name = PurePath(paths[0]).name.partition(".")[0]
    if not name:
        raise UsageError(f"{source}: a file without a name gives a conversation none")
    if form == "twilio":
        return twilio_conversations(lines, source=source, name=name)
    if form == "rtvi":
        return (rtvi_conversation(lines, source=source, name=name),)
    return (livekit_conversation(lines, source=source, name=name),)


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
