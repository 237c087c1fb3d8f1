"""Suites: ``eval/suites/NAME.yaml`` to :class:`Suite`, with ``--system KEY=VALUE`` applied."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from relkit.core import yaml_text
from relkit.core.codec import Record, nearest, parse
from relkit.core.digests import JsonValue, digest_of
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.metrics import METRICS, expand, metric_of
from relkit.core.slices import OVERALL, SliceSpec
from relkit.evaluation.types import DatasetRef, Scalar, Suite, SystemSpec

Name = Annotated[str, Field(min_length=1, max_length=200)]


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


_VOICE = r"^[A-Za-z0-9][A-Za-z0-9_+./-]{0,79}$"


_RECOGNISER = 'the task tts needs a "recogniser", and no other task has one'


_RECOGNISER_HINT = "for example recogniser: {kind: faster-whisper, model: tiny.en, language: en}"


class _SystemRecord(Record):
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    artifact: Digest | None = None


class FasterWhisperRecord(_SystemRecord):
    """A Whisper model run here by faster-whisper."""

    kind: Literal["faster-whisper"]
    model: Name
    compute_type: Literal["int8", "int8_float32", "float32", "float16", "int8_float16"] = "int8"
    beam_size: Annotated[int, Field(ge=1, le=100)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    language: Name | None = None
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    cpu_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    vad_filter: bool = False
    initial_prompt: str | None = None


class OpenAIHttpRecord(_SystemRecord):
    """A server that speaks OpenAI's transcription API."""

    kind: Literal["openai-http"]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    model: Name
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    language: Name | None = None
    prompt: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    stream: bool = False


class OpenAISpeechRecord(_SystemRecord):
    """A server that speaks OpenAI's speech API; ``rate`` is its ``speed``."""

    kind: Literal["openai-http"]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    model: Name
    voice: Name
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    rate: Annotated[float, Field(ge=0.25, le=4)] | None = None
    instructions: str | None = None


class EspeakRecord(_SystemRecord):
    """espeak-ng on this machine; ``rate`` in words per minute, ``pitch`` 0 to 99."""

    kind: Literal["espeak-ng"]
    voice: Annotated[str, Field(pattern=_VOICE)] = "en-us"
    rate: Annotated[int, Field(ge=80, le=450)] = 175
    pitch: Annotated[int, Field(ge=0, le=99)] = 50


class FliteRecord(_SystemRecord):
    """flite on this machine; ``rate`` 1 is the voice's own, ``pitch`` its mean in Hz."""

    kind: Literal["flite"]
    voice: Annotated[str, Field(pattern=_VOICE)] = "slt"
    rate: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    pitch: Annotated[float, Field(ge=40, le=400)] | None = None


class HibariRecord(_SystemRecord):
    """hibari-tts in this process; ``rate`` 1 is the voice's own."""

    kind: Literal["hibari-tts"]
    voice: Annotated[str, Field(pattern=_VOICE)] = "heart"
    rate: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class CommandRecord(_SystemRecord):
    """A program that reads utterances as JSON lines and answers one line each."""

    kind: Literal["command"]
    run: Name


class RecordedRecord(_SystemRecord):
    """Answers given earlier: a JSONL or Parquet file, relative to the workspace."""

    kind: Literal["recorded"]
    path: Name


def _tag(system: object) -> str:
    """Return which record describes a system: one that speaks has a voice."""
    kind = _key(system, "kind")
    speaks = kind == "openai-http" and _key(system, "voice") is not None
    return SPEECH_SERVER if speaks else str(kind)


def _key(system: object, name: str) -> object:
    return system.get(name) if isinstance(system, Mapping) else getattr(system, name, None)


SPEECH_SERVER = "openai-http-speech"


SystemRecord = Annotated[
    Annotated[FasterWhisperRecord, Tag("faster-whisper")]
    | Annotated[OpenAIHttpRecord, Tag("openai-http")]
    | Annotated[OpenAISpeechRecord, Tag(SPEECH_SERVER)]
    | Annotated[CommandRecord, Tag("command")]
    | Annotated[RecordedRecord, Tag("recorded")]
    | Annotated[EspeakRecord, Tag("espeak-ng")]
    | Annotated[FliteRecord, Tag("flite")]
    | Annotated[HibariRecord, Tag("hibari-tts")],
    Discriminator(_tag),
]


_LISTENING: dict[str, type[_SystemRecord]] = {
    "faster-whisper": FasterWhisperRecord,
    "openai-http": OpenAIHttpRecord,
    "command": CommandRecord,
    "recorded": RecordedRecord,
}


_SPEAKING: dict[str, type[_SystemRecord]] = {
    "openai-http": OpenAISpeechRecord,
    "command": CommandRecord,
    "espeak-ng": EspeakRecord,
    "flite": FliteRecord,
    "hibari-tts": HibariRecord,
}


_RECOGNISERS = {kind: record for kind, record in _LISTENING.items() if kind != "recorded"}


_OF_TASK: Mapping[str, dict[str, type[_SystemRecord]]] = {"asr": _LISTENING, "tts": _SPEAKING}


_JOBS = {"asr": "listens", "tts": "speaks"}


class DatasetRefRecord(Record):
    """Which dataset, which version of it, and which part."""

    name: Name
    rev: Name | None = None
    where: dict[str, str | list[str]] = {}


class SuiteRecord(Record):
    """The whole of a suite file."""

    schema_: Literal["relkit.suite/v1"] | None = Field(default=None, alias="schema")
    name: Name
    dataset: DatasetRefRecord
    task: Literal["asr", "tts"] = "asr"
    normalizer: Name = "none"
    segmenter: Literal["auto", "words", "characters"] = "auto"
    metrics: Annotated[list[str], Field(min_length=1)] = ["wer", "wer_capped", "cer"]
    slices: list[Name] = []
    cluster: Name | None = None
    keywords: list[Name] = []
    max_audio_s: Annotated[float, Field(gt=0, le=86400)] = 600.0
    system: SystemRecord
    recogniser: SystemRecord | None = None

    @model_validator(mode="after")
    def _systems_of_the_task(self) -> Self:
        if not isinstance(self.system, tuple(_OF_TASK[self.task].values())):
            raise ValueError(_wrong_kind(self.system.kind, self.task))  # noqa: TRY004 - pydantic's protocol
        if (self.recogniser is None) == (self.task == "tts"):
            raise ValueError(_RECOGNISER)
        if self.recogniser and not isinstance(self.recogniser, tuple(_RECOGNISERS.values())):
            raise ValueError(_wrong_kind(self.recogniser.kind, "asr"))
        return self

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            try:
                metric_of(name)
            except KeyError:
                hint = nearest(name, tuple(METRICS)) or ""
                raise ValueError(f'unknown metric "{yaml_text.shown(name)}"; {hint}') from None
        return names


def parse_suite(text: str, *, source: str, system: Iterable[str] = ()) -> Suite:
    """Return a suite from YAML with ``KEY=VALUE`` overrides of its system.

    Raises InvalidInput for the file, UsageError for an override that is no ``KEY=VALUE``.
    """
    document, lines = yaml_text.load(text, source=source)
    if not isinstance(document, Mapping):
        raise InvalidInput(f"{source}: a mapping of keys to values was expected")
    overrides = _overrides(system)
    if overrides:
        own = document.get("system")
        kept = own if isinstance(own, Mapping) else {}
        if "kind" in overrides and overrides["kind"] != kept.get("kind"):
            kept = {}  # another kind of system: the keys of the old one mean nothing to it
        merged = {**kept, **overrides}
        document = {**document, "system": merged}
        given = {("system",), *(("system", key) for key in overrides)}
        lines = {path: line for path, line in lines.items() if path not in given}
    from_where = ", ".join([source, *(f"--system {yaml_text.shown(key)}" for key in overrides)])
    task = document.get("task", "asr")
    if task in _OF_TASK:  # another one is refused with the rest of the suite
        _check_system(document.get("system"), from_where, lines, _OF_TASK[str(task)], str(task))
        _check_recogniser(document, source, lines)
    return to_suite(parse(SuiteRecord, document, source=source, lines=lines))


def _overrides(system: Iterable[str]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for text in system:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(
                f'--system "{yaml_text.shown(text)}": KEY=VALUE was expected',
                hint="for example --system beam_size=5",
            )
        found[key], _ = yaml_text.load(value, source=f"--system {yaml_text.shown(key)}")
    return found


def _check_recogniser(
    document: Mapping[str, JsonValue], source: str, lines: Mapping[tuple[str | int, ...], int]
) -> None:
    """Refuse a recogniser that is missing, not wanted, or none."""
    given = document.get("recogniser")
    if (given is None) == (document.get("task", "asr") == "tts"):
        at = yaml_text.where(source, lines.get(("recogniser",)) or lines.get(("task",)))
        raise InvalidInput(f"{at}: {_RECOGNISER}", hint=_RECOGNISER_HINT)
    if given is not None:
        _check_system(given, source, lines, _RECOGNISERS, "asr", key="recogniser")


def _wrong_kind(kind: str, task: str) -> str:
    return f'the system kind "{kind}" is no system that {_JOBS[task]}'


def _check_system(
    system: JsonValue,
    source: str,
    lines: Mapping[tuple[str | int, ...], int],
    known: Mapping[str, type[_SystemRecord]],
    task: str,
    *,
    key: str = "system",
) -> None:
    """Check a system by its kind, which gives better errors than the union of all kinds."""
    if system is None:
        return
    at = yaml_text.where(source, lines.get((key, "kind")) or lines.get((key,)))
    if not isinstance(system, Mapping):
        raise InvalidInput(f'{at}: "{key}": a mapping of keys to values was expected')
    kinds = tuple(known)
    if "kind" not in system:
        raise InvalidInput(
            f'{at}: the key "{key}.kind" is missing', hint="known: " + ", ".join(kinds)
        )
    kind = system["kind"]
    if not isinstance(kind, str) or kind not in known:
        every = {**_LISTENING, **_SPEAKING}
        if isinstance(kind, str) and kind in every:
            raise InvalidInput(
                f"{at}: {_wrong_kind(kind, task)}",
                hint=f"that {_JOBS[task]}: " + ", ".join(sorted(kinds)),
            )
        raise InvalidInput(
            f'{at}: unknown system kind "{yaml_text.shown(str(kind))}"',
            hint=nearest(str(kind), kinds),
        )
    inner = {path[1:]: line for path, line in lines.items() if path[:1] == (key,)}
    parse(known[kind], system, source=source, lines=inner, inside=key)


def suite_document(suite: Suite) -> dict[str, JsonValue]:
    """Return a suite as the JSON document that :func:`suite_from_document` reads back."""
    where: dict[str, JsonValue] = {k: list(v) for k, v in suite.dataset.where.items()}
    return {
        "name": suite.name,
        "dataset": {"name": suite.dataset.name, "rev": suite.dataset.rev, "where": where},
        "task": suite.task,
        "normalizer": suite.normalizer,
        "segmenter": suite.segmenter,
        "metrics": list(suite.metrics),
        "slices": list(suite.slices),
        "cluster": suite.cluster,
        "keywords": list(suite.keywords),
        "max_audio_s": suite.max_audio_s,
        "system": system_document(suite.system),
        "recogniser": None if suite.recogniser is None else system_document(suite.recogniser),
    }


def system_document(system: SystemSpec) -> dict[str, JsonValue]:
    """Return the effective system as a JSON document."""
    bounds = {"timeout_s": system.timeout_s, "retries": system.retries}
    return {"kind": system.kind, **bounds, **system.options}


def suite_from_document(document: JsonValue, *, digest: str, source: str) -> Suite:
    """Return a stored suite under the digest it was given; raises InvalidInput."""
    return replace(to_suite(parse(SuiteRecord, document, source=source)), digest=digest)


def with_normalizer(suite: Suite, name: str) -> Suite:
    """Return the suite with another normalizer, under the digest of that suite."""
    document = {**suite_document(suite), "normalizer": name}
    return to_suite(parse(SuiteRecord, document, source=suite.name))


_DEFAULTS: dict[str, JsonValue] = {
    "segmenter": "auto",
    "cluster": None,
    "keywords": [],
    "max_audio_s": 600.0,
    "recogniser": None,
}


def suite_digest(suite: Suite) -> str:
    """Return the digest of the effective suite without its system.

    See docs/cli.md, section "A run and its digests".

    Optional keys at their defaults are left out, so that a later relkit with more keys gives an
    old suite the same digest.
    """
    document = suite_document(suite)
    del document["system"]
    kept = {k: v for k, v in document.items() if k not in _DEFAULTS or _DEFAULTS[k] != v}
    return digest_of(kept)


def to_suite(record: SuiteRecord) -> Suite:
    """Return the domain type with its digest."""
    slices = dict.fromkeys(SliceSpec.parse(name).name for name in [OVERALL, *record.slices])
    suite = Suite(
        name=record.name,
        dataset=DatasetRef(
            name=record.dataset.name,
            rev=record.dataset.rev,
            where={
                column: (values,) if isinstance(values, str) else tuple(values)
                for column, values in record.dataset.where.items()
            },
        ),
        task=record.task,
        normalizer=record.normalizer,
        segmenter=record.segmenter,
        metrics=expand(tuple(record.metrics)),
        slices=tuple(slices),
        cluster=record.cluster,
        keywords=tuple(record.keywords),
        max_audio_s=record.max_audio_s,
        system=_spec(record.system),
        recogniser=None if record.recogniser is None else _spec(record.recogniser),
        digest="",
    )
    return replace(suite, digest=suite_digest(suite))


def _spec(record: SystemRecord) -> SystemSpec:
    options: dict[str, Scalar] = record.model_dump(
        exclude={"kind", "timeout_s", "retries"}, exclude_none=True
    )
    return SystemSpec(
        kind=record.kind, timeout_s=record.timeout_s, retries=record.retries, options=options
    )
