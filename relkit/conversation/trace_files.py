"""OTLP traces as recorded conversations: the spans of pipecat, LiveKit and OpenTelemetry's GenAI.

Spans are read as for live traffic (docs/telemetry.md, "Dialects"), and besides the words of the
user and the names and arguments of tools. The earliest span of a conversation is its first moment.
"""

from collections.abc import Iterable, Iterator, Mapping

from relkit.conversation.logs import ConversationLog, LogLine, RecordedConversation
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import where
from relkit.telemetry.dialects import TraceDialect, detect
from relkit.telemetry.otlp_files import SpanReader, is_trace_document
from relkit.telemetry.spans import AttributeEntry, AttributeTable, SpanTree, TraceSpan

SPAN_KINDS: Mapping[tuple[TraceDialect, str], tuple[str, str, str, str]] = {
    ("pipecat", "stt"): ("", "", "", "final"),
    ("pipecat", "llm"): ("llm_started", "llm_token", "metrics.ttfb", "llm_stopped"),
    ("pipecat", "tts"): ("tts_started", "tts_first_audio", "metrics.ttfb", ""),
    ("livekit", "user_turn"): ("user_started_speaking", "", "", "user_stopped_speaking"),
    ("livekit", "llm_node"): ("llm_started", "llm_token", "lk.response.ttft", "llm_stopped"),
    ("livekit", "tts_node"): ("tts_started", "tts_first_audio", "lk.response.ttfb", ""),
    ("livekit", "agent_speaking"): ("agent_started_speaking", "", "", "agent_stopped_speaking"),
    ("genai", "chat"): (
        "llm_started", "llm_token", "gen_ai.response.time_to_first_chunk", "llm_stopped"
    ),
    ("genai", "retrieval"): ("retrieval_started", "", "", "retrieval_stopped"),
}  # fmt: skip
"""Dialect and span to the events of its start, of the delay after it, and of its end."""

TOOL_SPANS = frozenset(
    {"function_call", "tool_call", "llm_tool_call", "function_tool", "execute_tool"}
)
_TOOL_NAMES = ("gen_ai.tool.name", "lk.function_tool.name", "tool.function_name")
_TOOL_ARGUMENTS = (
    "gen_ai.tool.call.arguments", "lk.function_tool.arguments", "tool.arguments"
)  # fmt: skip
_TRANSCRIPTS = ("transcript", "lk.user_transcript")
_SESSIONS = ("conversation.id", "gen_ai.conversation.id", "session.id")


def trace_conversations(  # noqa: C901 - spans, traces, conversations, in one piece
    lines: Iterable[tuple[str, LogLine]],
) -> Iterator[RecordedConversation]:
    """Yield the conversations in documents of ``resourceSpans``, in the order of their ids.

    Traces of one conversation id are one conversation; without one a trace is, by its own id.
    Raises InvalidInput naming file and line.
    """
    table = AttributeTable({})
    for name in (*_TOOL_NAMES, *_TOOL_ARGUMENTS, *_TRANSCRIPTS):
        table.entries[name] = AttributeEntry(True, _text, name, "attributes", None)  # noqa: FBT003
    reader = SpanReader(table)
    traces: dict[str, list[TraceSpan]] = {}
    for source, (line, document) in lines:
        if not is_trace_document(document):
            raise InvalidInput(f'{where(source, line)}: no OTLP traces: "resourceSpans" is missing')
        try:
            for span in reader.spans(document):
                traces.setdefault(span.trace, []).append(span)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InvalidInput(
                f"{where(source, line)}: no OTLP: its lists hold something else"
            ) from error
    conversations: dict[str, list[list[TraceSpan]]] = {}
    for trace, spans in traces.items():
        named = (span.attributes.get(key) for key in _SESSIONS for span in spans)
        conversations.setdefault(str(next(filter(None, named), trace)), []).append(spans)
    for name, members in sorted(conversations.items()):
        log = ConversationLog("otlp")
        for spans in members:
            tree = SpanTree(spans)
            dialect = detect(tree.spans)
            for span in tree.spans:
                _take(log, dialect, span, tree)
        if log:
            yield log.recorded(name)


def _text(raw: object) -> str | None:
    return raw if isinstance(raw, str) and raw else None


def _first(span: TraceSpan, names: Iterable[str]) -> str | None:
    return next((str(span.attributes[name]) for name in names if name in span.attributes), None)


def _take(  # noqa: C901, PLR0912 - the kinds of spans side by side
    log: ConversationLog, dialect: TraceDialect | None, span: TraceSpan, tree: SpanTree
) -> None:
    """Take in a span; one that nobody computes with, or without a start, is counted."""
    for attribute, value in span.attributes.items():
        if value is None:
            log.not_measured[attribute] += 1
    if span.start <= 0:
        log.not_measured["span_start"] += 1
        return
    start, end = span.start / 1e6, span.end / 1e6
    name = span.name
    if dialect == "genai":
        name = str(span.attributes.get("gen_ai.operation.name") or span.name.partition(" ")[0])
    kinds = None if dialect is None else SPAN_KINDS.get((dialect, name))
    if kinds is not None:
        begins, first, delay, ends = kinds
        text = _first(span, _TRANSCRIPTS)
        if begins:
            log.event(start, begins)
        if first and (seconds := span.attributes.get(delay)) is not None:
            log.event(start + 1000.0 * float(seconds), first)
        if ends and span.end:
            log.event(end, ends, text=text if ends == "final" else None)
            if ends == "user_stopped_speaking" and text is not None:
                log.event(end, "final", text=text)
    elif name in TOOL_SPANS:
        tool = _first(span, _TOOL_NAMES)
        log.tool(start, tool, _first(span, _TOOL_ARGUMENTS))
        if span.end:
            log.event(end, "tool_stopped", data={"name": tool} if tool else None)
    elif dialect == "pipecat" and name == "turn":
        if any(member.name == "stt" for member in tree.below({span.id: span.id})[span.id]):
            log.event(start, "user_started_speaking")
        if span.attributes.get("turn.was_interrupted") is True and span.end:
            log.event(end, "interrupted")
    else:
        log.other(start, name or "span", {"duration_ms": end - start if span.end else None})
        if dialect == "livekit" and span.attributes.get("lk.interrupted") is True and span.end:
            log.event(end, "interrupted")
