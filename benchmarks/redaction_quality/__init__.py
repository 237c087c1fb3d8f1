"""How much personal data ``relkit redact`` masks, and how much else, by language and kind.

Sentences are made from templates (``en.yaml`` …) and values (``values.py``) that were written apart
from the scanner and are not what it is developed on. A value counts as masked where all of it is
within spans; a clean sentence counts as touched where it has a span. The last rows are lines of
relkit's own documents and golden pages, in which nobody's data is.

``python -m benchmarks.redaction_quality --write`` puts the tables into docs/redaction.md.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from benchmarks.redaction_quality.values import (
    Maker,
    Spoken,
    Written,
    clean_fillers,
    written_fillers,
)
from relkit.wiring.redaction import languages_of, scanner_of

LANGUAGES = ("en", "de", "es", "fr")
SIZES = {"spoken": 500, "written": 300}
SEED = 20260101
BARS = {
    "spoken": {"en": 0.95, "de": 0.95, "es": 0.90, "fr": 0.95},
    "written": dict.fromkeys(LANGUAGES, 0.90),
}
TOUCHED = {"spoken": 0.03, "written": 0.02}

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "redaction.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence and where its value stands; a clean one has no ``kind``."""

    text: str
    kind: str | None = None
    start: int = 0
    end: int = 0


def sentences(language: str, way: str) -> list[Sentence]:
    """Return the sentences of a language with a value each, every kind as often."""
    rng = Random(f"{SEED} {language} {way}")  # noqa: S311 - made-up data
    makes = (Spoken if way == "spoken" else Written)(language, rng)
    templates = _templates(language)[way]
    kinds = list(templates)
    made = []
    for i in range(SIZES[way]):
        kind = kinds[i % len(kinds)]
        before, _, after = rng.choice(templates[kind]).partition("{}")
        value = makes.make(kind)
        made.append(
            Sentence(
                text=before + value + after, kind=kind, start=len(before), end=len(before + value)
            )
        )
    return made


def clean_sentences(language: str, way: str) -> list[Sentence]:
    """Return as many sentences of a language with nobody's data: hard ones, full of numbers."""
    rng = Random(f"{SEED} {language} {way} clean")  # noqa: S311 - made-up data
    fillers = clean_fillers(language) if way == "spoken" else written_fillers()
    templates = _templates(language)[f"{way}_clean"]
    return [
        Sentence(text=_filled(templates[i % len(templates)], fillers, rng))
        for i in range(SIZES[way])
    ]


def _filled(template: str, fillers: Mapping[str, Maker], rng: Random) -> str:
    parts = template.split("{")
    text = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        text += fillers[name](rng) + rest
    return text


def _templates(language: str) -> Any:  # noqa: ANN401 - YAML of our own
    return yaml.safe_load(Path(__file__).with_name(f"{language}.yaml").read_text(encoding="utf-8"))


def spans_of(lines: Sequence[str], languages: str) -> list[list[tuple[int, int]]]:
    """Return the spans of each line, in characters."""
    scanner = scanner_of(languages_of(languages))
    return [[(value.start, value.end) for value in scanner.values(line)] for line in lines]


def masked(sentence: Sentence, spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether all of the letters and digits of a value are within spans."""
    return all(
        any(start <= place < end for start, end in spans)
        for place in range(sentence.start, sentence.end)
        if sentence.text[place].isalnum()
    )


def own_lines() -> list[str]:
    """Return the lines of relkit's own documents and golden pages that hold nobody's data."""
    paths = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    paths += sorted(
        p for p in (ROOT / "tests" / "golden").rglob("*") if p.suffix in {".md", ".txt"}
    )
    return [
        line
        for path in paths
        if path != PAGE
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def measure() -> Iterator[str]:
    """Yield the lines of the tables, in Markdown."""
    yield "| language | | values masked | clean sentences touched | bar |"
    yield "|---|---|---|---|---|"
    by_kind: dict[tuple[str, str, str], Counter[str]] = {}
    for way in SIZES:
        for language in LANGUAGES:
            made, clean = sentences(language, way), clean_sentences(language, way)
            spans = spans_of([s.text for s in [*made, *clean]], language)
            hits = [masked(s, marks) for s, marks in zip(made, spans, strict=False)]
            touched = sum(bool(marks) for marks in spans[len(made) :])
            for sentence, hit in zip(made, hits, strict=True):
                counts = by_kind.setdefault((way, str(sentence.kind), language), Counter())
                counts["masked" if hit else "missed"] += 1
            share, false = sum(hits) / len(hits), touched / len(clean)
            met = share >= BARS[way][language] and false <= TOUCHED[way]
            bar = f"{BARS[way][language]:.0%}, {TOUCHED[way]:.0%}: {'met' if met else 'not met'}"
            yield (
                f"| {language} | {way} | {share:.1%} of {len(hits)} | {false:.1%} of {len(clean)} |"
                f" {bar} |"
            )
    own = own_lines()
    touched = sum(bool(marks) for marks in spans_of(own, ",".join(LANGUAGES)))
    share, limit = touched / len(own), TOUCHED["written"]
    yield (
        f"| all four | lines of relkit's own | - | {share:.1%} of {len(own)} |"
        f" {limit:.0%}: {'met' if share <= limit else 'not met'} |"
    )
    for way in SIZES:
        kinds = list(dict.fromkeys(kind for w, kind, _ in by_kind if w == way))
        yield ""
        yield f"| {way}: masked of | " + " | ".join(LANGUAGES) + " |"
        yield "|---|" + "---|" * len(LANGUAGES)
        for kind in kinds:
            cells = []
            for language in LANGUAGES:
                seen = by_kind.get((way, kind, language))
                cells.append("-" if seen is None else f"{seen['masked']}/{seen.total()}")
            yield f"| {kind} | " + " | ".join(cells) + " |"


def speed() -> str:
    """Return how many lines a second one language takes."""
    lines = [s.text for s in sentences("en", "spoken") + clean_sentences("en", "spoken")] * 10
    spans_of(lines[:10], "en")
    begun = time.process_time()
    spans_of(lines, "en")
    return f"{len(lines) / (time.process_time() - begun):,.0f} lines a second of one core, English"


def main() -> None:
    """Print the tables, and write them into the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="put the tables into docs/redaction.md"
    )
    parser.add_argument(
        "--misses", action="store_true", help="print what was not masked, or touched"
    )
    options = parser.parse_args()
    if options.misses:
        print_misses()
        return
    text = "\n".join([*measure(), "", f"{speed()}."])
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def print_misses() -> None:
    """Print what was missed: for who reads results, not for who writes the scanner."""
    for way in SIZES:
        for language in LANGUAGES:
            made, clean = sentences(language, way), clean_sentences(language, way)
            spans = spans_of([s.text for s in [*made, *clean]], language)
            for sentence, marks in zip([*made, *clean], spans, strict=True):
                if sentence.kind is None and marks:
                    print(f"{language} {way} touched: {sentence.text} {marks}")
                elif sentence.kind is not None and not masked(sentence, marks):
                    print(f"{language} {way} {sentence.kind}: {sentence.text} {marks}")
