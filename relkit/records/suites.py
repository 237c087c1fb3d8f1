"""Suites: ``eval/suites/NAME.yaml`` to :class:`Suite`, with ``--system KEY=VALUE`` applied."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
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
    _check_system(document.get("system"), from_where, lines)
    return to_suite(check(SuiteRecord, document, source=source, lines=lines))


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


def _check_system(
    system: JsonValue, source: str, lines: Mapping[tuple[str | int, ...], int]
) -> None:
    """Check a system by its kind, which gives better errors than the union of all kinds."""
    if not isinstance(system, Mapping):
        return
    at = yaml_text.where(source, lines.get(("system", "kind")) or lines.get(("system",)))
    if "kind" not in system:
        raise InvalidInput(
            f'{at}: the key "system.kind" is missing', hint="known: " + ", ".join(KINDS)
        )
    kind = system["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(
            f'{at}: unknown system kind "{yaml_text.shown(str(kind))}"',
            hint=nearest(str(kind), KINDS),
        )
    inner = {path[1:]: line for path, line in lines.items() if path[:1] == ("system",)}
    check(_BY_KIND[kind], system, source=source, lines=inner, inside="system")


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
    }


def system_document(system: SystemSpec) -> dict[str, JsonValue]:
    """Return the effective system as a JSON document."""
    bounds = {"timeout_s": system.timeout_s, "retries": system.retries}
    return {"kind": system.kind, **bounds, **system.options}


def suite_from_document(document: JsonValue, *, digest: str, source: str) -> Suite:
    """Return a stored suite under the digest it was given; raises InvalidInput."""
    return replace(to_suite(check(SuiteRecord, document, source=source)), digest=digest)


def with_normalizer(suite: Suite, name: str) -> Suite:
    """Return the suite with another normalizer, under the digest of that suite."""
    document = {**suite_document(suite), "normalizer": name}
    return to_suite(check(SuiteRecord, document, source=suite.name))


_DEFAULTS: dict[str, JsonValue] = {
    "segmenter": "auto",
    "cluster": None,
    "keywords": [],
    "max_audio_s": 600.0,
}


def suite_digest(suite: Suite) -> str:
    """Return the digest of the effective suite without its system (cli.md, A run).

    Optional keys at their defaults are left out, so that a later relkit with more keys gives an
    old suite the same digest.
    """
    document = suite_document(suite)
    del document["system"]
    kept = {k: v for k, v in document.items() if k not in _DEFAULTS or _DEFAULTS[k] != v}
    return digest_of(kept)


def to_suite(record: SuiteRecord) -> Suite:
    """Return the domain type with its digest."""
    options: dict[str, Scalar] = record.system.model_dump(
        exclude={"kind", "timeout_s", "retries"}, exclude_none=True
    )
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
        system=SystemSpec(
            kind=record.system.kind,
            timeout_s=record.system.timeout_s,
            retries=record.system.retries,
            options=options,
        ),
        digest="",
    )
    return replace(suite, digest=suite_digest(suite))
