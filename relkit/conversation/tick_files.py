"""Simulations of tau2-bench as recorded conversations: those of text, and those of voice by ticks.

A tick is as long as the file says; who spoke in it is truth, since both sides were simulated.
Simulations without ticks are read as for the safety of agents (``relkit.safety.tau2_files``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from relkit.conversation.logs import ConversationLog, RecordedConversation
from relkit.conversation.types import SoundSpan
from relkit.core.digests import JsonValue
from relkit.core.errors import InvalidInput
from relkit.core.yaml_text import shown
from relkit.datasets.types import SpeechLabel
from relkit.safety.tau2_files import tau2_answers


def tau2_conversations(document: JsonValue, *, source: str) -> Iterator[RecordedConversation]:
    """Yield the simulations of a file, called after their tasks; raises InvalidInput."""
    written = document.get("simulations") if isinstance(document, Mapping) else None
    items = written if isinstance(written, list) else []
    simulations = [item for item in items if isinstance(item, Mapping)]
    voiced = [item for item in simulations if item.get("ticks")]
    texts: Any = {
        **(document if isinstance(document, dict) else {}),
        "simulations": [item for item in simulations if not item.get("ticks")],
    }
    if not simulations:
        raise InvalidInput(f'{source}: holds no "simulations" of tau2-bench')
    if texts["simulations"]:
        for name, outcome in tau2_answers(texts, source=source):
            yield RecordedConversation(id=name, outcome=outcome)
    trials = Counter(str(item.get("task_id")) for item in voiced)
    for item in voiced:
        task = str(item.get("task_id"))
        name = f"{task}#{item.get('trial') or 0}" if trials[task] > 1 else task
        yield _voiced(item, name, source)


def _voiced(item: Mapping[str, Any], name: str, source: str) -> RecordedConversation:
    log = ConversationLog("tau2")
    ticks = [tick for tick in item["ticks"] if isinstance(tick, Mapping)]
    ticks.sort(key=lambda tick: tick.get("tick_id") or 0)
    seconds = {tick.get("tick_duration_seconds") for tick in ticks}
    length = next(iter(seconds)) if len(seconds) == 1 else None
    if isinstance(length, bool) or not isinstance(length, int | float) or not 0 < length <= 60:  # noqa: PLR2004 - a minute
        raise InvalidInput(
            f'{source}: the simulation of task "{shown(name)}" does not say how long a tick is',
            hint='every tick needs the same "tick_duration_seconds"',
        )
    step = 1000.0 * length
    for number, (first, stop) in enumerate(_runs(ticks, "user_chunk"), start=1):
        span = SoundSpan(start_ms=first * step, stop_ms=stop * step)
        log.speech(span, f"u{number}", _label(ticks[first]))
    for first, stop in _runs(ticks, "agent_chunk"):
        log.sound(SoundSpan(start_ms=first * step, stop_ms=stop * step))
    for at, tick in enumerate(ticks):
        for call in tick.get("agent_tool_calls") or ():
            if isinstance(call, Mapping):
                log.tool(at * step, call.get("name"), call.get("arguments"))
        for _ in tick.get("agent_tool_results") or ():
            log.event((at + 1) * step, "tool_stopped")
        chunk = tick.get("agent_chunk")
        if isinstance(chunk, Mapping) and not chunk.get("is_audio"):
            log.says(at * step, str(chunk.get("content") or ""))
    return log.recorded(name, zero=0.0, duration_ms=len(ticks) * step)


def _runs(ticks: list[Mapping[str, Any]], side: str) -> Iterator[tuple[int, int]]:
    """Yield the first tick of each stretch of speech, and the one after its last."""
    first: int | None = None
    for at in range(len(ticks) + 1):
        chunk = ticks[at].get(side) if at < len(ticks) else None
        speaks = isinstance(chunk, Mapping) and chunk.get("contains_speech") is True
        if speaks and first is None:
            first = at
        elif not speaks and first is not None:
            yield first, at
            first = None


def _label(tick: Mapping[str, Any]) -> SpeechLabel:
    action = (tick.get("user_chunk") or {}).get("turn_taking_action")
    word = action.get("action") if isinstance(action, Mapping) else None
    return "backchannel" if word == "backchannel" else "turn"
