"""Suites: ``eval/suites/NAME.yaml`` to :class:`Suite`, with ``--system KEY=VALUE`` applied."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from relkit.domain.errors import InvalidInput, UsageError
from relkit.domain.metrics import METRICS, expand, metric_of
from relkit.domain.slices import OVERALL, SliceSpec
from relkit.domain.suites import DatasetRef, Scalar, Suite, SystemSpec
from relkit.records import yaml_text
from relkit.records.digests import JsonValue, digest_of
from relkit.records.strict import Record, check, nearest

Name = Annotated[str, Field(min_length=1, max_length=200)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


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


class CommandRecord(_SystemRecord):
    """A program that reads utterances as JSON lines and answers one line each."""

    kind: Literal["command"]
    run: Name


class RecordedRecord(_SystemRecord):
    """Answers given earlier: a JSONL or Parquet file, relative to the workspace."""

    kind: Literal["recorded"]
    path: Name


SystemRecord = Annotated[
    FasterWhisperRecord | OpenAIHttpRecord | CommandRecord | RecordedRecord,
    Field(discriminator="kind"),
]
KINDS = ("faster-whisper", "openai-http", "command", "recorded")
_BY_KIND: dict[str, type[_SystemRecord]] = {
    "faster-whisper": FasterWhisperRecord,
    "openai-http": OpenAIHttpRecord,
    "command": CommandRecord,
    "recorded": RecordedRecord,
}


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
    task: Literal["asr"] = "asr"
    normalizer: Name = "none"
    segmenter: Literal["auto", "words", "characters"] = "auto"
    metrics: Annotated[list[str], Field(min_length=1)] = ["wer", "wer_capped", "cer"]
    slices: list[Name] = []
    cluster: Name | None = None
    keywords: list[Name] = []
    max_audio_s: Annotated[float, Field(gt=0, le=86400)] = 600.0
    system: SystemRecord

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
    return _suite(_overridden(document, system), source, lines)


def _overridden(document: Mapping[str, JsonValue], system: Iterable[str]) -> JsonValue:
    own = document.get("system")
    merged = dict(own) if isinstance(own, Mapping) else {}
    for text in system:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(
                f'--system "{yaml_text.shown(text)}": KEY=VALUE was expected',
                hint="for example --system beam_size=5",
            )
        parsed, _ = yaml_text.load(value, source=f"--system {key}")
        merged[key] = parsed
    return {**document, "system": merged} if merged else document


def _suite(document: JsonValue, source: str, lines: Mapping[tuple[str | int, ...], int]) -> Suite:
    system = document.get("system") if isinstance(document, Mapping) else None
    kind = system.get("kind") if isinstance(system, Mapping) else None
    at = yaml_text.where(source, lines.get(("system", "kind")) or lines.get(("system",)))
    if isinstance(system, Mapping) and kind not in KINDS:
        raise InvalidInput(
            f'{at}: unknown system kind "{yaml_text.shown(str(kind))}"',
            hint=nearest(str(kind), KINDS),
        )
    if isinstance(system, Mapping):
        inner = {path[1:]: line for path, line in lines.items() if path[:1] == ("system",)}
        check(_BY_KIND[str(kind)], system, source=source, lines=inner, inside="system")
    return to_suite(check(SuiteRecord, document, source=source, lines=lines))


def to_suite(record: SuiteRecord) -> Suite:
    """Return the domain type with its digest: everything that was set, the system aside."""
    effective = record.model_dump(mode="json", exclude_defaults=True, exclude={"system", "schema_"})
    options: dict[str, Scalar] = record.system.model_dump(
        exclude={"kind", "timeout_s", "retries"}, exclude_none=True
    )
    slices = dict.fromkeys(SliceSpec.parse(name).name for name in [OVERALL, *record.slices])
    return Suite(
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
        system=SystemSpec(
            kind=record.system.kind,
            timeout_s=record.system.timeout_s,
            retries=record.system.retries,
            options=options,
        ),
        digest=digest_of(effective),
    )
