"""``voices.yaml``: text to a list of voices, and the line that each voice stands in."""

from collections.abc import Mapping

from relkit.core import yaml_text
from relkit.core.codec import parse_yaml
from relkit.safety.voices import VoiceList


def parse_voices(text: str, *, source: str) -> tuple[VoiceList, Mapping[str, int]]:
    """Return a list of voices, and of each the line of its entry, or of its name as served.

    Raises InvalidInput with file, line and what to do.
    """
    listed = parse_yaml(text, VoiceList, source=source)
    _, places = yaml_text.load(text, source=source)
    paths = {name: ("served", i) for i, name in enumerate(listed.served)}
    lines = {name: places.get(path) for name, path in paths.items()}
    lines |= {name: places.get(("voices", name)) for name in listed.voices}
    return listed, {name: line for name, line in lines.items() if line is not None}
