"""The files of drills: what ships, what a folder keeps, what a responder writes."""

from dataclasses import replace

from relkit.core.codec import parse_yaml
from relkit.incident.drills.types import Drill, DrillAnswer


def parse_drill(text: str, *, source: str) -> Drill:
    """Return a drill from YAML; raises InvalidInput with file and line."""
    return replace(parse_yaml(text, Drill, source=source), source=source)


def parse_drill_answer(text: str, *, source: str) -> DrillAnswer:
    """Return an answer from YAML; raises InvalidInput with file and line."""
    return parse_yaml(text, DrillAnswer, source=source)
