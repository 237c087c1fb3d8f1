"""Builds what scores the quality of clips, when a suite asks for it."""

from functools import partial
from typing import TYPE_CHECKING

from relkit.core.config import Settings

if TYPE_CHECKING:
    from relkit.evaluation.ports import QualityScorer, SpeechSystem
    from relkit.evaluation.quality import QualityPorts


TIMEOUT_S = 600.0
"""How long one clip may take in s, loading the models aside."""


def quality_ports(settings: Settings, *, jobs: int) -> "QualityPorts":
    """Return the ports of quality scoring; nothing is opened before a metric is asked for."""
    from relkit.adapters.caches import SqliteQualityCache
    from relkit.evaluation.quality import QualityPorts

    return QualityPorts(
        scorer=partial(quality_scorer, jobs=jobs),
        cache=partial(SqliteQualityCache, settings.cache / "quality.sqlite"),
    )


def quality_scorer(metrics: tuple[str, ...], *, jobs: int) -> "QualityScorer":
    """Return the scorer of some quality metrics; raises MissingDependency, InvalidInput."""
    from relkit.adapters.mos.scorers import MosScorer
    from relkit.adapters.workers import ProcessExecutor

    build = partial(build_quality_system, metrics)
    executor = ProcessExecutor(build, jobs=jobs, timeout_s=TIMEOUT_S, retries=0)
    return MosScorer(metrics, executor)


def build_quality_system(metrics: tuple[str, ...]) -> "SpeechSystem":
    """Open the models inside a worker process."""
    from relkit.adapters.mos.scorers import MosSystem

    return MosSystem(metrics)
