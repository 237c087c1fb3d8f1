"""A user's normalizers: ``eval/normalizers/NAME.yaml`` to a :class:`Pipeline`."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from relkit.domain.errors import InvalidInput
from relkit.records.digests import digest_of
from relkit.records.strict import Record, nearest, parse_yaml
from relkit.records.yaml_text import shown
from relkit.rules import normalizing
from relkit.rules.normalizing import BUILT_IN, Pipeline, Step


class ReplaceRecord(Record):
    """A step that replaces whole tokens and phrases."""

    replace: Annotated[dict[str, str], Field(min_length=1)]

    @field_validator("replace")
    @classmethod
    def _usable(cls, mapping: dict[str, str]) -> dict[str, str]:
        normalizing.replace(mapping)
        return mapping


def _kind(step: object) -> str:
    """Say which of the two a step is meant to be, so that only that one's errors are shown."""
    return "mapping" if isinstance(step, Mapping | ReplaceRecord) else "name"


StepRecord = Annotated[
    Annotated[str, Tag("name")] | Annotated[ReplaceRecord, Tag("mapping")], Discriminator(_kind)
]


class NormalizerRecord(Record):
    """The whole of a normalizer file."""

    schema_: Literal["relkit.normalizer/v1"] | None = Field(default=None, alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
    steps: Annotated[list[StepRecord], Field(min_length=1, max_length=100)]

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in BUILT_IN:
            raise ValueError(f'"{name}" is a built-in normalizer; choose another name')
        return name


def parse_normalizer(text: str, *, source: str, available: Mapping[str, Step]) -> Pipeline:
    """Return a normalizer from YAML; ``available`` are the steps it can name.

    Raises InvalidInput for the file and for an unknown step.
    """
    record = parse_yaml(text, NormalizerRecord, source=source)
    steps = pipeline_steps(record, available, source=source)
    return Pipeline(name=record.name, steps=steps, digest_of=digest_of)


def pipeline_steps(
    record: NormalizerRecord, available: Mapping[str, Step], *, source: str
) -> tuple[Step, ...]:
    """Return the steps that a file names; raises InvalidInput for one that does not exist."""
    steps: list[Step] = []
    for number, step in enumerate(record.steps, start=1):
        if isinstance(step, ReplaceRecord):
            steps.append(normalizing.replace(step.replace))
        elif step in available:
            steps.append(available[step])
        else:
            raise InvalidInput(
                f'{source}: step {number}: unknown step "{shown(step)}"',
                hint=nearest(step, (*available, "replace")),
            )
    return tuple(steps)
