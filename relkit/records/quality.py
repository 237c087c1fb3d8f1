"""A clip's quality as a line of JSON: what a worker answers, and what the cache keeps."""

import json
from dataclasses import asdict
from typing import Annotated

from pydantic import Field

from relkit.domain.quality import Level, Quality
from relkit.records.strict import Record, check, parse_json

Count = Annotated[int, Field(ge=0)]


class LevelRecord(Record):
    """Levels in dBFS."""

    active_dbfs: float
    rms_dbfs: float
    peak_dbfs: float
    active_share: float


class QualityRecord(Record):
    """The whole of one clip's quality."""

    scores: dict[str, float]
    reasons: dict[str, str]
    noise: dict[str, float]
    level: LevelRecord | None
    windows: Count
    dropped: Count


def render_quality(quality: Quality) -> str:
    """Return a quality as one line; raises ValueError for NaN, which is never a score."""
    return json.dumps(asdict(quality), allow_nan=False)


def parse_quality(text: str, *, source: str) -> Quality:
    """Return a quality; raises InvalidInput."""
    record = check(QualityRecord, parse_json(text, source=source), source=source)
    return Quality(
        scores=record.scores,
        reasons=record.reasons,
        noise=record.noise,
        level=None if record.level is None else Level(**record.level.model_dump()),
        windows=record.windows,
        dropped=record.dropped,
    )
