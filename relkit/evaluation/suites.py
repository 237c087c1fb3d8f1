"""Suites: ``eval/suites/NAME.yaml`` to :class:`Suite`, with ``--system KEY=VALUE`` applied."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import PureWindowsPath
from typing import cast

from relkit.core import yaml_text
from relkit.core.codec import Lines, encode, nearest, parse
from relkit.core.digests import JsonValue, digest_of
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.metrics import (
    CHECKED_METRICS,
    SAFETY_METRICS,
    STREAM_METRICS,
    TURN_METRICS,
    split_metric,
)
from relkit.evaluation.conversations import DEFAULT_TURN_METRICS
from relkit.evaluation.safety import judges_text
from relkit.evaluation.streams import default_metrics, is_timed
from relkit.evaluation.types import (
    DOES,
    JOBS,
    NEEDS_RECOGNISER,
    RECOGNISERS,
    ChangedSetting,
    RunHeader,
    Scalar,
    Suite,
    System,
    Task,
    wrong_kind,
)

AGENT_METRICS = SAFETY_METRICS[:-2]
"""What a suite of an agent measures where it names no metrics: what its calls can tell."""

_SCHEMA = "relkit.suite/v1"
_RECOGNISER_HINT = "for example recogniser: {kind: faster-whisper, model: tiny.en, language: en}"


def parse_suite(text: str, *, source: str, system: Iterable[str] = ()) -> Suite:
    """Return a suite from YAML with ``KEY=VALUE`` overrides of its system.

    Raises InvalidInput for the file, UsageError for an override that is no ``KEY=VALUE``.
    """
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(f"{source}: a mapping of keys to values was expected")
    _check_schema(document, source)
    overrides = _overrides(system)
    if overrides:
        declared = document.get("system")
        options = declared if isinstance(declared, Mapping) else {}
        if "kind" in overrides and overrides["kind"] != options.get("kind"):
            options = {}  # another kind of system: the keys of the old one mean nothing to it
        merged = {**options, **overrides}
        document = {**document, "system": merged}
        overridden = {("system",), *(("system", key) for key in overrides)}
        for path in overridden:
            lines.pop(path, None)
    from_where = ", ".join([source, *(f"--system {yaml_text.shown(key)}" for key in overrides)])
    task = cast("Task", document.get("task", "asr"))
    if task in DOES:  # another one is refused with the rest of the suite
        _check_system(document.get("system"), from_where, lines, DOES[task], task)
        _check_recogniser(document, source, lines)
        _check_tools(document, source, lines)
        _check_stream(document, source, lines)
        _check_turn(document, source, lines)
        _check_budget(document, source, lines)
    if task == "stream" and "metrics" not in document:
        document = {**document, "metrics": list(default_metrics(document.get("pace")))}
    if task == "turn" and "metrics" not in document:
        document = {**document, "metrics": list(DEFAULT_TURN_METRICS)}
    if task == "agent" and "metrics" not in document:
        document = {**document, "metrics": list(AGENT_METRICS)}
    return parse(Suite, document, source=source, lines=lines)


def _check_schema(document: Mapping[str, JsonValue], source: str) -> None:
    """Refuse a suite that does not say what it is."""
    if "schema" not in document:
        raise InvalidInput(
            f'{yaml_text.where(source, 1)}: the key "schema" is missing',
            hint=f'begin the file with "schema: {_SCHEMA}"',
        )


def _overrides(system: Iterable[str]) -> dict[str, JsonValue]:
    overrides: dict[str, JsonValue] = {}
    for text in system:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(
                f'--system "{yaml_text.shown(text)}": KEY=VALUE was expected',
                hint="for example --system beam_size=5",
            )
        overrides[key], _ = yaml_text.load(value, source=f"--system {yaml_text.shown(key)}")
    return overrides


def _check_recogniser(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse a recogniser that is missing, not wanted, or none."""
    recogniser = document.get("recogniser")
    if (recogniser is None) == (document.get("task", "asr") == "tts"):
        at = yaml_text.where(source, lines.get(("recogniser",)) or lines.get(("task",)))
        raise InvalidInput(f"{at}: {NEEDS_RECOGNISER}", hint=_RECOGNISER_HINT)
    if recogniser is not None:
        _check_system(recogniser, source, lines, RECOGNISERS, "asr", key="recogniser")


def _check_tools(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse an agent without a table of its tools, and what needs one in any other suite."""
    task, tools = document.get("task", "asr"), document.get("tools")
    is_agent = task == "agent" or (task == "turn" and tools is not None)
    if (tools is None) == is_agent:
        at = yaml_text.where(source, lines.get(("tools",)) or lines.get(("task",)))
        raise InvalidInput(
            f'{at}: the task agent needs "tools", and no other task has them',
            hint="for example tools: tools.yaml, a file beside the suite (docs/safety.md)",
        )
    metrics = document.get("metrics")
    for i, name in enumerate(metrics if isinstance(metrics, list) else ()):
        if name in {*SAFETY_METRICS, *CHECKED_METRICS} and not is_agent:
            at = yaml_text.where(source, lines.get(("metrics", i)) or lines.get(("metrics",)))
            raise InvalidInput(
                f'{at}: the metric "{name}" is about an agent\'s tools, and this suite has none',
                hint='add "tools: tools.yaml"'
                + ("" if task == "turn" else ' and "task: agent"')
                + ", or remove the metric",
            )


def _check_stream(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse times at a pace that has none, and what is about streams in any other suite."""
    is_stream, is_fast = document.get("task") == "stream", document.get("pace") == "fast"
    if not is_stream and "update_ms" in document:
        raise InvalidInput(
            f'{yaml_text.where(source, lines.get(("update_ms",)))}: "update_ms" is about '
            "recognisers that give partials",
            hint='write "task: stream", or remove the key',
        )
    metrics = document.get("metrics")
    for i, name in enumerate(metrics if isinstance(metrics, list) else ()):
        at = yaml_text.where(source, lines.get(("metrics", i)) or lines.get(("metrics",)))
        base, _ = split_metric(str(name))
        if not is_stream and base in STREAM_METRICS and base not in TURN_METRICS:
            raise InvalidInput(
                f'{at}: the metric "{name}" is about a recogniser that gives partials, and this '
                "suite has none",
                hint='write "task: stream" (docs/streaming.md), or remove the metric',
            )
        if is_stream and is_fast and (is_timed(base) or base == "false_final_rate"):
            raise InvalidInput(
                f'{at}: the metric "{name}" needs speech at its own pace, and pace: fast sends it '
                "faster",
                hint='write "pace: realtime", or remove the metric',
            )
    system = document.get("system")
    if is_stream and isinstance(system, Mapping):
        _check_streaming(system, document, source, lines)


def _check_turn(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse words in suites of conversations, and conversations in suites of sound alone."""
    task, metrics = document.get("task", "asr"), document.get("metrics")
    for i, name in enumerate(metrics if isinstance(metrics, list) else ()):
        at = yaml_text.where(source, lines.get(("metrics", i)) or lines.get(("metrics",)))
        base, _ = split_metric(str(name))
        if task == "turn" and judges_text([base]):
            raise InvalidInput(
                f'{at}: the metric "{name}" holds words against a reference, and conversations '
                "have none",
                hint="measure the recogniser in a suite of the task asr or stream",
            )
        of_turns = base == "stage_ms" or (base in TURN_METRICS and base not in STREAM_METRICS)
        if task in {"asr", "tts", "stream"} and of_turns:
            raise InvalidInput(
                f'{at}: the metric "{name}" is about conversations, and this suite has none',
                hint='write "task: turn" (docs/conversations.md), or remove the metric',
            )


def _check_budget(document: Mapping[str, JsonValue], source: str, lines: Lines) -> None:
    """Refuse a budget of what no conversation measures, or of any other task."""
    budget = document.get("budget")
    if not isinstance(budget, Mapping):
        return
    timed = [name for name in TURN_METRICS if is_timed(name)]
    for name in budget:
        at = yaml_text.where(source, lines.get(("budget", name)) or lines.get(("budget",)))
        if document.get("task", "asr") != "turn":
            raise InvalidInput(
                f'{at}: "budget" is about conversations, and this suite has none',
                hint='write "task: turn" (docs/conversations.md), or remove the key',
            )
        if name not in timed:
            raise InvalidInput(
                f'{at}: "budget": "{yaml_text.shown(name)}" is no time of a conversation',
                hint=nearest(name, tuple(timed)),
            )


def _check_streaming(
    system: Mapping[str, JsonValue], document: Mapping[str, JsonValue], source: str, lines: Lines
) -> None:
    """Refuse systems that give no partials as they are set up, or none in real time."""
    at = yaml_text.where(source, lines.get(("system", "kind")) or lines.get(("system",)))
    match system.get("kind"):
        case "faster-whisper" if document.get("update_ms") is None:
            raise InvalidInput(
                f"{at}: faster-whisper gives partials by decoding again and again, and the suite "
                "does not say how often",
                hint='for example "update_ms: 500" in the suite; churn depends on it',
            )
        case "openai-http" if system.get("stream") is not True:
            raise InvalidInput(
                f"{at}: openai-http gives partials only as a stream",
                hint='add "stream: true" to the system',
            )
        case "openai-http" if document.get("pace") != "fast":
            raise InvalidInput(
                f"{at}: openai-http is sent the clip at once: its partials have no time of speech",
                hint='write "pace: fast" in the suite, and leave metrics in ms out',
            )


def _check_system(
    system: JsonValue,
    source: str,
    lines: Lines,
    types: Iterable[type[System]],
    task: Task,
    *,
    key: str = "system",
) -> None:
    """Check a system by its kind, which gives better errors than the union of all kinds."""
    if system is None:
        return
    at = yaml_text.where(source, lines.get((key, "kind")) or lines.get((key,)))
    if not isinstance(system, Mapping):
        raise InvalidInput(f'{at}: "{key}": a mapping of keys to values was expected')
    kinds = {_kind(item): item for item in types}
    if "kind" not in system:
        raise InvalidInput(
            f'{at}: the key "{key}.kind" is missing', hint="known: " + ", ".join(kinds)
        )
    kind = system["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        if kind in [_kind(item) for items in DOES.values() for item in items]:
            raise InvalidInput(
                f"{at}: {wrong_kind(str(kind), task)}",
                hint=f"that {JOBS[task]}: " + ", ".join(sorted(kinds)),
            )
        raise InvalidInput(
            f'{at}: unknown system kind "{yaml_text.shown(str(kind))}"',
            hint=nearest(str(kind), tuple(kinds)),
        )
    inner = {path[1:]: line for path, line in lines.items() if path[:1] == (key,)}
    parse(kinds[kind], system, source=source, lines=inner, inside=key)


def _kind(system: type[System]) -> str:
    return str(next(item.default for item in fields(system) if item.name == "kind"))


_OPTIONAL: Mapping[str, JsonValue] = {
    "segmenter": "auto",
    "cluster": None,
    "keywords": [],
    "max_audio_s": 600.0,
    "recogniser": None,
}


def suite_digest(suite: Suite, tools: str | None = None) -> str:
    """Return the digest of the effective suite without its system and what its workers take.

    ``tools`` is the digest of an agent's tools, which stands for the name of their file.
    Optional keys at their defaults are left out, so that a later relkit with more keys gives an
    old suite the same digest (docs/cli.md, section "A run and its digests").
    """
    document = encode(suite)
    del document["system"]
    document.pop("resources", None)
    if tools is not None:
        document["tools"] = tools
    return digest_of({k: v for k, v in document.items() if k not in _OPTIONAL or _OPTIONAL[k] != v})


_NOT_SHOWN = frozenset(
    [
        "base_url",
        "path",
        "mapping",
        "run",
        "prompt",
        "initial_prompt",
        "instructions",
        "api_key_env",
    ]
)


def system_name(system: System) -> str:
    """Return the kind of a system with its model or voice, and how it computes."""
    named = (getattr(system, name, None) for name in ("model", "voice", "compute_type"))
    shown = (str(_shown(value)) for value in named if value is not None)
    return " ".join([system.kind, *shown])


def changed_settings(candidate: RunHeader, baseline: RunHeader) -> tuple[ChangedSetting, ...]:
    """Return the settings of the systems of two runs that differ, in the order of the suite."""
    ours, theirs = _settings(candidate), _settings(baseline)
    return tuple(
        _changed(name, ours.get(name), theirs.get(name))
        for name in {**ours, **theirs}
        if ours.get(name) != theirs.get(name)
    )


def _changed(name: str, candidate: JsonValue, baseline: JsonValue) -> ChangedSetting:
    """Return a change, without values where they are not shown or would look the same."""
    hidden = name.rpartition(".")[2] in _NOT_SHOWN
    ours, theirs = (None if hidden else _shown(value) for value in (candidate, baseline))
    same = ours == theirs
    return ChangedSetting(
        setting=name, candidate=None if same else ours, baseline=None if same else theirs
    )


def _settings(header: RunHeader) -> dict[str, JsonValue]:
    """Return the settings of what is measured, what listens to it, and what is served."""
    system, listens = encode(header.suite.system), header.suite.recogniser
    heard = {} if listens is None else encode(listens)
    return {
        **system,
        **{f"recogniser.{name}": value for name, value in heard.items()},
        "artifact": header.candidate.artifact,
    }


def _shown(value: JsonValue) -> Scalar:
    """Return a value; of a path, as a model may be, its last part; a hub's has one slash."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, int | float) else None
    is_path = value[:1] in {"/", ".", "~"} or value.count("/") > 1 or "\\" in value
    return PureWindowsPath(value.partition("?")[0]).name if is_path else value
