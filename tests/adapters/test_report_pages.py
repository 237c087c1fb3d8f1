"""The HTML page: one file, nothing fetched, data stays text, and no more than was asked for."""

import base64
import hashlib
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from relkit.adapters.audio import flac
from relkit.adapters.html import JinjaPages, embedded_json
from relkit.adapters.results import ParquetResults, read_rows
from relkit.audio.types import Floor, NoiseFloor, QualitySummary, SpeechSummary
from relkit.comparison.types import Row
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.core.values import Named
from relkit.datasets.types import Unusable, UnusableReason
from relkit.evaluation.types import ChangedSetting
from relkit.report.types import EmbeddedAudio, Page
from relkit.scoring.types import Texts
from relkit.scoring.words import count_errors
from tests.builders import (
    DIGEST,
    counts,
    empty_report,
    estimate,
    header,
    outcome,
    report,
    result_of,
    slice_result,
)
from tests.cli.test_compare_text import full
from tests.fakes import tone

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)> ' `",
    "javascript:alert(1)",
    "<!--<script>",
    "\u202egpj.exe \u200f😀 e\u0301",
    "{{ 7 * 7 }}{% raw %}",
    "]]> &lt;b&gt; &#60;",
    "x\u2028y",
)
VOID = {"meta", "link", "br", "input", "img"}


class Document(HTMLParser):
    """What a browser would see of a page: elements, attributes, text, and inline code."""

    def __init__(self, page: str) -> None:
        """Parse a page."""
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.code: list[tuple[str, dict[str, str | None], str]] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element that closes itself."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """Close an element; it must be the one that is open."""
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Keep text, and the content of scripts and styles apart from it."""
        inside = self._open[-1] if self._open else ("", {})
        if inside[0] in {"script", "style"}:
            self.code.append((*inside, data))
        else:
            self.text.append(data)

    def json(self, name: str) -> Any:  # noqa: ANN401  # any document
        """Return the JSON of a data block."""
        (found,) = [data for _, attributes, data in self.code if attributes.get("id") == name]
        return json.loads(found)


def row(name: str, expected: str, heard: str | None, **fields: Any) -> Row:  # noqa: ANN401  # any field
    """Return a scored row with its texts."""
    texts = Texts(
        reference=expected,
        hypothesis=heard,
        reference_normalized=expected,
        hypothesis_normalized=heard,
    )
    found = count_errors(expected.split(), (heard or "").split())
    given_: dict[str, Any] = {"id": name, "counts": found, "texts": texts}
    return Row(**(given_ | fields))


def page(**fields: Any) -> Page:  # noqa: ANN401  # any field of the type
    """Return a small page with transcripts."""
    given_: dict[str, Any] = {
        "header": header(),
        "report": report(),
        "rows": (row("u1", "turn on", "turn off", latency_ms=12.0, slices={"accent": "plain"}),),
        "with_text": True,
    }
    return Page(**(given_ | fields))


def render(**fields: Any) -> str:  # noqa: ANN401  # any field of the page
    """Return the HTML of a page."""
    return JinjaPages().report_html(page(**fields))


def test_only_our_style_and_script_may_run_and_nothing_may_be_fetched() -> None:
    """The policy names the digests of what is inline; no element or attribute asks for a file."""
    document = Document(render())
    (policy,) = [value for tag, _, value in document.attributes if "default-src" in value]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    executed = [
        (tag, data)
        for tag, attributes, data in document.code
        if tag == "style" or attributes.get("type") != "application/json"
    ]
    assert [tag for tag, _ in executed] == ["style", "script"]
    for tag, data in executed:
        digest = base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    asking = {"src", "srcset", "href", "action", "data", "poster", "style"}
    values = [value for _, name, value in document.attributes if name in asking]
    assert all(value.startswith(("#", "data:image/svg+xml,")) for value in values)
    assert not [name for _, name, _ in document.attributes if name.startswith("on")]
    script = executed[1][1]
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in script
    for forbidden in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "localStorage"):
        assert forbidden not in script


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_data_adds_no_element_and_no_attribute_wherever_it_stands(text: str) -> None:
    """In names, notes, slices, ids and texts it is text, and it is there to be read."""
    noted = {"wer": estimate(note=text, method=text)}

    def document_of(word: str) -> Document:
        named = {"wer": estimate(note=word, method=word)} if word == text else noted
        slices = (
            slice_result("overall", named),
            slice_result(f"accent={word.replace('&', '%26').replace('=', '%3D')}", named),
        )
        item = report(
            *slices,
            suite=Named(name=word, digest=DIGEST),
            normalizer=Named(name=word, digest=DIGEST),
            created=word,
            notes=(word,),
            failure_reasons={word: 1},
            unusable_reasons={word: 1},
        )
        rows = (
            row(word, f"turn {word}", f"off {word}", slices={word: word}, failure=word),
            row("second", f"on {word}", f"off {word}"),
        )
        versions = {word: word}
        return Document(
            render(report=item, rows=rows, header=header(versions=versions, load={word: word}))
        )

    hostile, plain = document_of(text), document_of("plain")
    assert set(hostile.tags) == set(plain.tags)
    names = {(tag, name) for tag, name, _ in hostile.attributes}
    assert names == {(tag, name) for tag, name, _ in plain.attributes}
    assert text in hostile.text
    assert text in hostile.json("data")["id"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_embedded_json_cannot_end_its_element_and_comes_back_whole(text: str) -> None:
    """No markup character and no line separator is left, whatever the text."""
    found = embedded_json([text, {text: 1}])
    assert not re.search(r"[<>&\u2028\u2029]", found)
    assert json.loads(found) == [text, {text: 1}]


def test_right_to_left_texts_run_right_to_left() -> None:
    """The list of pairs has the direction of the text, with the script and without it."""
    for text, directions in (("שלום עולם", ["rtl"]), ("hello world", [])):
        texts = Texts(
            reference=text,
            hypothesis=text,
            reference_normalized=text,
            hypothesis_normalized=text,
        )
        document = Document(render(rows=(Row(id="u1", counts=counts(2), texts=texts),)))
        assert [value for _, name, value in document.attributes if name == "dir"] == directions
        assert document.json("data")["rtl"] == [0] * len(directions)


def test_without_with_text_rows_show_ids_and_counts_only() -> None:
    """No alignment, no confusion list, no text column; the page says how to get them."""
    rows = (Row(id="u1", counts=counts(1, 1)),)
    document = Document(render(rows=rows, with_text=False))
    assert set(document.json("data")) & {"ref", "edits", "raw"} == set()
    text = " ".join(document.text)
    assert "no transcripts" in text
    assert "taken for what" not in text
    assert "--with-text" in text


def test_audio_is_there_only_where_asked_for_and_says_what_it_leaves_out() -> None:
    """Without it no media may load at all."""
    clip = flac(tone(3, seconds=0.2))
    assert clip.startswith(b"fLaC")
    without = render()
    assert "media-src" not in without
    assert 'id="audio"' not in without
    audio = EmbeddedAudio(
        media_type="audio/flac", clips={"u1": clip}, left_out={"consent is revoked": 2}
    )
    with_audio = render(audio=audio)
    document = Document(with_audio)
    assert "media-src data:;" in with_audio
    assert base64.b64decode(document.json("audio")["clips"]["u1"]) == clip
    assert "2 left out: consent is revoked" in " ".join(" ".join(document.text).split())


def test_every_section_is_there_without_javascript() -> None:
    """Numbers, slices, plots, alignment, latency, MOS, masking and origin are in the markup."""
    metrics = {
        "wer": estimate(),
        "dnsmos_ovrl.mean": estimate(3.0, low=2.8, high=3.2, unit="mos"),
        "latency_ms.p95": estimate(300.0, unit="ms"),
    }
    item = report(slice_result("overall", metrics), slice_result("accent=plain", metrics))
    document = Document(render(report=item))
    ids = {value for _, name, value in document.attributes if name == "id"}
    wanted = {"numbers", "slices", "errors", "latency", "mos", "normalizer", "origin"}
    assert wanted <= ids
    links = {value[1:] for tag, name, value in document.attributes if (tag, name) == ("a", "href")}
    assert links <= ids
    text = " ".join(" ".join(document.text).split())
    for words in ("12.5 to 50.0 %", "contract:", "not checked", "lowercase"):
        assert words in text
    assert "no person listened" in text
    assert "substitution:" in text
    assert "Up to 12.5 % of utterances could still be runaways" in text


def test_what_has_to_be_known_to_read_mos_and_round_trips_is_on_the_page() -> None:
    """Protocol, noise floor, what could not be scored; who listened, and what it gets wrong."""
    quality = QualitySummary(
        protocol="as recorded",
        models={"sig.onnx": DIGEST},
        clips=12,
        windows=30,
        dropped_windows=4,
        levels_dbfs={"p50": -26.04},
        noise_floor={"plcmos": NoiseFloor(sd=0.0213, repeated=5)},
        unscored={"pesq": {"no <reference>": 2}},
    )
    floor = Floor(recordings=8, failures=1, missing=2, metrics={"wer": estimate(0.04)})
    speech = SpeechSummary(
        recogniser=DIGEST, artifact=None, warm_ups=2, warm_up_ms=900.0, warm_ms=120.0, floor=floor
    )
    metrics = {"wer": estimate(), "plcmos.mean": estimate(3.0, low=2.8, high=3.2, unit="mos")}
    slices = slice_result("overall", metrics), slice_result("accent=plain", metrics)
    rows = (Row(id="u1", counts=counts(1), measures={"first_audio_ms": 210.0}),)
    item = report(*slices, quality=quality, speech=speech)
    text = " ".join(" ".join(Document(render(report=item, rows=rows)).text).split())
    for words in (
        "12 clips, 30 windows, 4 dropped",
        "p50 -26.0 dBFS",
        "sd 0.021 for one clip, 5 clips repeated",
        "2 clips, no <reference>",
        "900 ms on average; warm 120 ms",
        "4.0 % (2.0 to 8.0 %)",
        "on 8 recordings of the dataset, 1 not heard, 2 missing",
        "first_audio_ms of 1 answer,",
    ):
        assert words in text


def test_a_run_without_anything_is_still_a_page() -> None:
    """No metric, no row, no step, no time: it says so and does not fail."""
    text = " ".join(Document(render(report=empty_report(), rows=())).text)
    assert "0 of 0 scored" in text
    assert "None" not in text
    assert "has no step" in text


def test_a_baseline_stands_beside_each_number_without_a_claim() -> None:
    """Both values and their difference; the page says that it judges nothing."""
    before = report(
        slice_result("overall", {"wer": estimate(0.2)}),
        slice_result("accent=plain", {"wer": estimate(0.3)}),
        run="20260101T120000Z-00000b",
    )
    text = " ".join(" ".join(Document(render(baseline=before)).text).split())
    assert "was 20.0 %, +5.0 points" in text
    assert "was 30.0 %, -5.0 points" in text
    assert "nothing here claims that one is significant" in text


def test_a_paired_comparison_says_what_of_the_differences_is_evidence() -> None:
    """Settings, the whole and the slices by evidence; or in words why there is no comparison."""
    before = report(run="20260101T120000Z-00000b")
    settings = (ChangedSetting(setting="beam_size", candidate=5, baseline=1),)
    compared = replace(full(), settings=settings)
    text = " ".join(" ".join(Document(render(baseline=before, compared=compared)).text).split())
    assert "Settings that differ: beam_size 1 -> 5" in text
    assert "what of them is evidence is said under Compared" in text
    assert "+6.2 points +4.2 to +8.2 worse (9 voices, p < 0.001)" in text
    reason = "run: has no results.parquet"
    text = " ".join(" ".join(Document(render(baseline=before, compared=reason)).text).split())
    assert f"could not be compared utterance by utterance: {reason}" in text


def test_a_page_of_20000_utterances_stays_under_10_megabytes() -> None:
    """Twelve words each, one in eight wrong, with transcripts and 300 slices of 14 metrics."""
    draw = random.Random(1)  # noqa: S311 - the same words each time, not a secret
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(2000)]
    rows = []
    for i in range(20_000):
        expected = draw.choices(words, k=draw.randint(4, 20))
        heard = [draw.choice(words) if draw.random() < 0.125 else word for word in expected]
        said, got = " ".join(expected), " ".join(heard)
        rows.append(
            row(
                f"assistant-commands-{i:06d}-voice{i % 50}",
                said,
                got,
                texts=Texts(
                    reference=said.capitalize() + ".",
                    hypothesis=got.capitalize() + ".",
                    reference_normalized=said,
                    hypothesis_normalized=got,
                ),
                slices={f"column{j}": f"value{i % (j + 2)}" for j in range(6)},
                latency_ms=draw.lognormvariate(5.5, 0.4),
                duration=draw.uniform(1, 8),
            )
        )
    metrics = {f"metric{i}": estimate() for i in range(14)}
    slices = [slice_result(f"id={i}", metrics) for i in range(300)]
    item = report(slice_result("overall", metrics), *slices)
    html = render(report=item, rows=tuple(rows))
    assert len(html.encode()) < 10_000_000


def stored(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write a run's tables: an answer and an unusable item."""
    told = [outcome("u1"), outcome("u2", Unusable(reason=UnusableReason.EMPTY, detail="0 bytes"))]
    results = [result_of(item) for item in told]
    tables = ParquetResults()
    tables.write_results(folder / "results.parquet", results)
    tables.write_texts(folder / "texts.parquet", results, told)
    names = ("results.parquet", "texts.parquet")
    return folder, {name: sha256_bytes((folder / name).read_bytes()) for name in names}


def test_rows_are_read_without_their_texts_unless_asked_for(tmp_path: Path) -> None:
    """Without text and audio the file that holds transcripts is not even opened."""
    folder, outputs = stored(tmp_path)
    (told, unusable) = read_rows(folder, outputs, with_text=True, with_audio=True)
    assert told.texts is not None
    assert told.texts.hypothesis == "hello where"
    assert told.audio is not None
    assert (unusable.counts, unusable.unusable) == (None, "empty")
    (heard, _) = read_rows(folder, outputs, with_text=False, with_audio=True)
    assert heard.texts is None
    (folder / "texts.parquet").unlink()
    (bare, _) = read_rows(folder, outputs, with_text=False, with_audio=False)
    assert (bare.id, bare.texts, bare.audio) == ("u1", None, None)
    assert bare.slices == {"accent": "plain"}
    assert bare.counts == counts(1, 1)


@pytest.mark.parametrize("name", ["results.parquet", "texts.parquet"])
def test_a_table_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    """A page shows what the run wrote, or nothing."""
    folder, outputs = stored(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(InvalidInput, match=f"{name}: was changed after the run"):
        read_rows(folder, outputs, with_text=True, with_audio=False)
    (folder / name).write_bytes(b"no table")
    with pytest.raises(InvalidInput, match=f"{name}: cannot be read as Parquet"):
        read_rows(
            folder, outputs | {name: sha256_bytes(b"no table")}, with_text=True, with_audio=False
        )


def test_a_table_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    """The message names the column."""
    pq.write_table(pa.table({"id": ["u1"]}), tmp_path / "results.parquet")
    outputs = {"results.parquet": sha256_bytes((tmp_path / "results.parquet").read_bytes())}
    with pytest.raises(InvalidInput, match="has no column repeat"):
        read_rows(tmp_path, outputs, with_text=False, with_audio=False)
