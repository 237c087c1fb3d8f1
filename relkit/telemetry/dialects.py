"""Turns from the spans of one trace, as pipecat, LiveKit and OpenTelemetry's GenAI write them.

Pure functions: the spans of a trace in any order give the same turns. Names of spans and attributes
are those of pipecat's ``utils/tracing``, livekit-agents' ``telemetry/trace_types`` and the GenAI
semantic conventions (docs/telemetry.md, "Dialects").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from relkit.telemetry.spans import (
    AttributeTable,
    AttributeValue,
    SpanTree,
    TraceSpan,
    TraceTurn,
)
from relkit.telemetry.types import STAGES
from relkit.telemetry.usage import Accounting, TokenCounts, UsageSource, add_up

TraceDialect = Literal["pipecat", "livekit", "genai"]

_AGENT_TURNS = frozenset({"agent_turn", "assistant_turn", "realtime_assistant_turn"})
_LIVEKIT = _AGENT_TURNS | {"agent_session", "user_turn", "llm_node", "tts_node", "stt_node"}
_PIPECAT = frozenset({"stt", "llm", "tts"})
_PIPECAT_TURN = frozenset({"turn.number", "turn.was_interrupted", "turn.user_bot_latency_seconds"})

_PIPECAT_TOOLS = frozenset({"function_call", "tool_call", "llm_tool_call"})

_LAST_NS = 2**63 - 1
"""The last nanosecond that 64 bits can count since 1970."""

_EXCESS_SHARE, _EXCESS_MS = 0.05, 20.0
"""Stages may add up to so much more than the whole: clocks are read at different moments."""

TurnValues = dict[str, AttributeValue]


class Readings:
    """What turns are made with: which attributes fill which columns, and what sources prove."""

    def __init__(self, table: AttributeTable, accounting: Accounting) -> None:
        """Take both as they are."""
        self.table = table
        self.accounting = accounting


def detect(spans: Iterable[TraceSpan]) -> TraceDialect | None:
    """Return the dialect of a trace by the names of its spans and their attributes.

    Stages whose turn is in another file are still of the dialect that has turns: by themselves they
    are none, and never one of another dialect.
    """
    generative = False
    for span in spans:
        if span.name in _PIPECAT or (
            span.name == "turn" and not _PIPECAT_TURN.isdisjoint(span.attributes)
        ):
            return "pipecat"
        if span.name in _LIVEKIT:
            return "livekit"
        generative = generative or bool(span.counts) or "gen_ai.operation.name" in span.attributes
    return "genai" if generative else None


def turns_of(dialect: TraceDialect, tree: SpanTree, readings: Readings) -> list[TraceTurn]:
    """Return the turns of one trace; ``end`` is 0 where they have none."""
    return list(_DIALECTS[dialect](tree, readings))


def source_of(span: TraceSpan) -> UsageSource:
    """Return who reports the token counts of a span."""
    words = span.attributes
    provider = words.get("gen_ai.provider.name") or words.get("gen_ai.system") or ""
    model = words.get("gen_ai.response.model") or words.get("gen_ai.request.model") or ""
    return UsageSource(str(provider), str(model))


def _pipecat(tree: SpanTree, readings: Readings) -> Iterator[TraceTurn]:
    """Yield a turn for each span ``turn``; its services are the spans below it."""
    roots = [span for span in tree.spans if span.name == "turn"]
    members = tree.below({root.id: root.id for root in roots})
    for root in roots:
        below = members[root.id]
        heard, models, voices, tools = _stages_of(below)
        values: TurnValues = {}
        attributes = root.attributes
        latency = _put_ms(values, "latency_ms", attributes.get("turn.user_bot_latency_seconds"))
        if models:  # what is heard after the model was asked is heard for the next answer
            heard = [span for span in heard if span.start <= models[0].start] or heard
        transcribed = _first(reversed(heard), "metrics.ttfb")
        _put_ms(values, "asr_ms", transcribed)
        _put_rest(values, attributes.get("turn.user_turn_seconds"), transcribed)
        _put_ms(values, "llm_ttft_ms", _first(models, "metrics.ttfb"))
        _put_ms(values, "tts_ttfb_ms", _first(voices, "metrics.ttfb"))
        if tools:
            _put_tools(values, tools, voices)
        _put_sum(values, "tts_chars", voices, "metrics.character_count")
        _put_sum(values, "audio_in_s", heard, "metrics.audio_seconds")
        _put_sum(values, "audio_out_s", voices, "metrics.audio_seconds")
        outcome = None
        if root.failed or _ended_badly(models) or _ended_badly(voices):
            outcome = "failed"
        elif attributes.get("turn.ended_by_conversation_end"):
            outcome = "completed" if latency else "abandoned"
        elif attributes.get("turn.was_interrupted"):
            outcome = "interrupted"
        elif latency or voices:
            outcome = "completed"
        yield _turn(tree, [root], below, values, readings, outcome, ("conversation.id",))


def _stages_of(spans: Iterable[TraceSpan]) -> tuple[list[TraceSpan], ...]:
    """Return pipecat's spans of the recogniser, the model, the voice and of tools."""
    heard: list[TraceSpan] = []
    models: list[TraceSpan] = []
    voices: list[TraceSpan] = []
    tools: list[TraceSpan] = []
    for span in spans:
        name = span.name
        if name == "stt":
            heard.append(span)
        elif name == "llm":
            models.append(span)
        elif name == "tts":
            voices.append(span)
        elif name in _PIPECAT_TOOLS:
            tools.append(span)
    return heard, models, voices, tools


def _livekit(tree: SpanTree, readings: Readings) -> Iterator[TraceTurn]:
    """Yield a turn for each speech of the agent, with the user's turn that it answers.

    The steps of a reply that calls a tool share their ``lk.speech_id`` (one span since
    livekit/agents 7143). A user's turn that was committed and never answered is a turn of its own.
    """
    speeches: dict[str, list[TraceSpan]] = {}
    for span in tree.spans:
        if span.name in _AGENT_TURNS:
            speeches.setdefault(_speech(span), []).append(span)
    roots = {span.id: speech for speech, spans in speeches.items() for span in spans}
    members = tree.below(roots)
    users = [span for span in tree.spans if span.name == "user_turn"]
    answered = _pair(speeches, users)
    for speech, spans in speeches.items():
        user = answered.get(speech)
        values: TurnValues = {}
        asked = [*spans, *([user] if user else [])]
        latency = _put_ms(values, "latency_ms", _first(asked, "lk.e2e_latency"))
        _put_endpointing(values, asked)
        _put_ms(values, "queue_ms", _first(members[speech], "lk.speech.queue_wait"))
        below = members[speech]
        stages = _by_name(below)
        models = stages.get("llm_node", ()) or stages.get("llm_request", ())
        voices = stages.get("tts_node", ()) or stages.get("tts_request", ())
        _put_ms(values, "llm_ttft_ms", _first(models, "lk.response.ttft"))
        _put_ms(values, "tts_ttfb_ms", _first(voices, "lk.response.ttfb"))
        _put_tools(values, stages.get("function_tool", ()), voices)
        _put_sum(values, "tts_chars", below, "characters_count")
        _put_sum(values, "audio_out_s", below, "audio_duration")
        _put_retries(values, below)
        outcome = None
        interrupted = any(span.attributes.get("lk.interrupted") for span in spans)
        if any(span.failed for span in spans) or _ended_badly(models) or _ended_badly(voices):
            outcome = "failed"
        elif interrupted:
            outcome = "interrupted"
        elif latency or models or voices or "agent_speaking" in stages:
            outcome = "completed"
        above = [user] if user else []
        yield _turn(tree, spans, [*above, *below], values, readings, outcome, ())
    taken = {user.id for user in answered.values()}
    unanswered = [span for span in users if span.id not in taken and _committed(span)]
    for user in unanswered:
        values = {}
        _put_endpointing(values, [user])
        outcome = "abandoned" if user is users[-1] else None
        yield _turn(tree, [user], [], values, readings, outcome, ())


def _genai(tree: SpanTree, readings: Readings) -> Iterator[TraceTurn]:
    """Yield a turn for each outermost ``invoke_agent``, or for the trace where there is none.

    These conventions have no time from mouth to ear: ``latency_ms`` comes from a mapping or not.
    """
    agents = [span for span in tree.spans if _operation(span) == "invoke_agent"]
    names = {span.id for span in agents}
    roots = [span for span in agents if names.isdisjoint(up.id for up in tree.above(span))]
    if roots:
        below = tree.below({root.id: root.id for root in roots})
        groups = [([root], below[root.id]) for root in roots]
    else:
        groups = [(list(tree.spans), [])]
    for spans, members in groups:
        every = sorted((*spans, *members), key=lambda span: (span.start, span.id))
        tools = [span for span in every if _operation(span) == "execute_tool"]
        models = [
            span
            for span in every
            if span.counts or _operation(span) in {"chat", "generate_content", "text_completion"}
        ]
        models = [span for span in models if span.id not in names]
        values: TurnValues = {}
        _put_ms(values, "llm_ttft_ms", _first(every, "gen_ai.response.time_to_first_chunk"))
        _put_tools(values, tools, ())
        bad_root = bool(roots) and (spans[0].failed or "error.type" in spans[0].attributes)
        outcome = None
        if bad_root or _ended_badly(models):
            outcome = "failed"
        elif models or any(span.counts for span in spans):
            outcome = "completed"
        ids = ("gen_ai.conversation.id", "session.id")
        yield _turn(tree, spans, members, values, readings, outcome, ids)


_DIALECTS: Mapping[TraceDialect, Callable[[SpanTree, Readings], Iterator[TraceTurn]]] = {
    "pipecat": _pipecat,
    "livekit": _livekit,
    "genai": _genai,
}


def _turn(
    tree: SpanTree,
    roots: Sequence[TraceSpan],
    members: Sequence[TraceSpan],
    values: TurnValues,
    readings: Readings,
    outcome: str | None,
    session_names: Sequence[str],
) -> TraceTurn:
    """Return a turn with usage, labels and outcome; what its root says goes before all else."""
    root = roots[0]
    nearest = [*roots, *tree.above(root), *members]
    made_inclusive = _put_usage(values, _calls(tree, [*roots, *members]), readings.accounting)
    session: AttributeValue = root.trace
    for name in session_names:
        named = [span.attributes[name] for span in nearest if name in span.attributes]
        if named:
            session = named[0] or session
            break
    if outcome is not None:
        values["outcome"] = outcome
    labels = root.resource
    for span in reversed(nearest):
        if span.labels:
            labels = {**labels, **span.labels}
    readings.table.fill(values, labels)
    if "outcome" in values:
        values.setdefault("ok", values["outcome"] != "failed")
    flag_excess(values)
    end = max(span.end for span in roots)
    return TraceTurn(
        session=str(values.pop("session", session)),
        turn=str(values.pop("turn_id", f"{root.trace}:{root.id}")),
        end=end if root.end and end <= _LAST_NS else 0,
        values=values,
        spans=len(roots) + len(members),
        made_inclusive=made_inclusive,
        repeats=tree.repeats.get(root.id, 0),
    )


def _put_usage(values: TurnValues, calls: Sequence[TraceSpan], accounting: Accounting) -> int:
    """Write inclusive usage and the model of the first call; return how many were made so."""
    made_inclusive = 0
    counts: list[TokenCounts] = []
    for call in calls:
        source = source_of(call)
        inclusive, changed = accounting.inclusive(source, call.counts)
        counts.append(inclusive)
        made_inclusive += changed
        if len(counts) == 1:
            if source.model:
                values["model"] = source.model
            if source.provider:
                values["provider"] = source.provider
    values.update(add_up(counts))
    return made_inclusive


def flag_excess(values: TurnValues) -> None:
    """Set the event ``stages_exceed`` of a turn: do its stages add up to more than the whole."""
    stages = [float(values[stage]) for stage in STAGES if stage in values]
    if "latency_ms" in values and stages:
        most = float(values["latency_ms"]) * (1 + _EXCESS_SHARE) + _EXCESS_MS
        values["stages_exceed"] = sum(stages) > most


def _calls(tree: SpanTree, spans: Iterable[TraceSpan]) -> list[TraceSpan]:
    """Return the spans whose token counts are to be added: not those that sum up others'."""
    calls = [span for span in spans if span.counts]
    if len(calls) > 1:
        sums = {up.id for call in calls for up in tree.above(call)}
        calls = sorted(
            (span for span in calls if span.id not in sums), key=lambda span: (span.start, span.id)
        )
    return calls


def _by_name(spans: Iterable[TraceSpan]) -> dict[str, list[TraceSpan]]:
    names: dict[str, list[TraceSpan]] = {}
    for span in spans:
        names.setdefault(span.name, []).append(span)
    return names


def _first(spans: Iterable[TraceSpan], name: str) -> float | None:
    """Return the first value of an attribute that there is."""
    for span in spans:
        value = span.attributes.get(name)
        if value is not None:
            return value  # type: ignore[return-value]  # delays are numbers
    return None


def _put_ms(values: TurnValues, column: str, seconds: AttributeValue | None) -> float | None:
    """Write a delay in milliseconds, where there is one, and return it."""
    if seconds is None:
        return None
    values[column] = milliseconds = 1000.0 * float(seconds)
    return milliseconds


def _put_rest(values: TurnValues, ended: AttributeValue | None, transcribed: float | None) -> None:
    """Write ``eou_ms``: what is left of the time to the end of turn after the transcript.

    Both senders count from the end of speech to the decision, with the transcript inside.
    """
    if ended is not None:
        rest = float(ended) - (transcribed or 0.0)
        values["eou_ms"] = 1000.0 * max(rest, 0.0)


def _put_endpointing(values: TurnValues, spans: Sequence[TraceSpan]) -> None:
    """Write LiveKit's delays to the transcript and to the end of turn.

    Where the first was to be measured and was not, nobody knows the second without it.
    """
    transcribed = _first(spans, "lk.transcription_delay")
    _put_ms(values, "asr_ms", transcribed)
    if transcribed is not None or not any(
        "lk.transcription_delay" in span.attributes for span in spans
    ):
        _put_rest(values, _first(spans, "lk.end_of_turn_delay"), transcribed)


def _put_sum(values: TurnValues, column: str, spans: Iterable[TraceSpan], name: str) -> None:
    total = None
    for span in spans:
        amount = span.attributes.get(name)
        if amount is not None:
            total = float(amount) + (total or 0.0)
    if total is not None:
        values[column] = total


def _put_tools(values: TurnValues, tools: Sequence[TraceSpan], voices: Sequence[TraceSpan]) -> None:
    """Write the time in which a tool ran before the agent's first sound; two at once count once."""
    first_sound = min((span.start for span in voices), default=None)
    busy, reached = 0, 0
    for span in tools:  # by start
        end = span.end if first_sound is None else min(span.end, first_sound)
        start = max(span.start, reached)
        if end > start:
            busy += end - start
            reached = end
    if tools and busy:
        values["tool_ms"] = busy / 1e6


def _put_retries(values: TurnValues, spans: Iterable[TraceSpan]) -> None:
    """Write how often requests were tried again: the highest count below each parent."""
    highest: dict[str, float] = {}
    for span in spans:
        retry = span.attributes.get("lk.retry_count")
        if retry is not None:
            highest[span.parent] = max(highest.get(span.parent, 0.0), float(retry))
    if highest:
        values["retries"] = sum(highest.values())


def _ended_badly(spans: Sequence[TraceSpan]) -> bool:
    """Tell whether the last of the attempts failed."""
    return bool(spans) and (spans[-1].failed or "error.type" in spans[-1].attributes)


def _operation(span: TraceSpan) -> str:
    operation = span.attributes.get("gen_ai.operation.name")
    return str(operation) if operation is not None else span.name.partition(" ")[0]


def _speech(span: TraceSpan) -> str:
    return str(span.attributes.get("lk.speech_id") or span.id)


def _committed(user: TraceSpan) -> bool:
    return "lk.transcription_delay" in user.attributes or "lk.end_of_turn_delay" in user.attributes


def _pair(
    speeches: Mapping[str, Sequence[TraceSpan]], users: Sequence[TraceSpan]
) -> dict[str, TraceSpan]:
    """Return the user's turn that each speech answers: by speech id, else the last before it."""
    named = {str(user.attributes.get("lk.speech_id")): user for user in users}
    pairs = {speech: named[speech] for speech in speeches if speech in named}
    paired = {user.id for user in pairs.values()}
    free = [user for user in users if user.id not in paired]
    at = 0
    for speech, spans in speeches.items():  # by start
        if speech in pairs:
            continue
        last = None
        while at < len(free) and free[at].start <= spans[0].start:
            if last is None or _committed(free[at]) or not _committed(last):
                last = free[at]
            at += 1
        if last is not None:
            pairs[speech] = last
    return pairs
