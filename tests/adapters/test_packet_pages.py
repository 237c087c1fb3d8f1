"""The page of a packet: drawn from the packet alone, nothing runs, data stays text.

The golden page, Markdown and text are written anew, to be looked at in the diff, by
``RELKIT_REGENERATE_GOLDEN=1 pytest tests/adapters/test_packet_pages.py``.
"""

import base64
import hashlib
import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from relkit.adapters.html import PacketPages
from relkit.attestation.statements import parse_content, render_statement
from relkit.core.wording import terminal
from relkit.disclosure.types import FormAnswers, Packet, PacketCause, ShownCell, ShownFinding
from relkit.incident.received.text_view import packet_text
from relkit.incident.received.view import PacketView
from tests.packet_data import CELLS, packet, unclear

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HOSTILE = (
    "</style><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "[click](javascript:alert(1))",
    "![image](https://evil.example/x.png)",
    "`code` | **bold** | a",
    "{{ 7 * 7 }}{% raw %}{{ packet }}",
    "\x1b[31mred\x1b]8;;https://evil.example\x07",
    "\u202egpj.exe",
    "=cmd|'/C calc'!A0",
    "::error::owned",
    "@someone #1 https://evil.example www.evil.example",
    "line\n\n# heading\r\n| a |",
)
VOID = {"meta", "br"}


def html(shown: Packet) -> str:
    """Return the page of a packet."""
    return PacketPages().html(shown)


class Elements(HTMLParser):
    """What a browser would see: elements, attributes and text."""

    def __init__(self, page: str) -> None:
        """Parse a page; every element that is opened has to be closed."""
        super().__init__()
        self.opened: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.texts: list[str] = []
        self.feed(page)
        assert not self.opened

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.add(tag)
        self.attributes |= set(attrs)
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element of a drawing, which closes itself."""
        self.tags.add(tag)
        self.attributes |= set(attrs)

    def handle_endtag(self, tag: str) -> None:
        """Note that an element ends."""
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text of the page."""
        return " ".join("".join(self.texts).split())


def hostile(text: str) -> Packet:
    """Return a packet with a text wherever the types let one stand, checked or not."""
    cause = PacketCause(
        cause="release",
        evidence="temporal",
        component=text,
        first_bad=text,
        slice=f"accent={text}",
        metric=text,
        onset=None,
    )
    finding = ShownFinding(
        policy=text, verdict=text, at="2026-11-29T16:00:00Z", slices=(f"accent={text}",)
    )
    cell = ShownCell(
        slice=f"accent={text}",
        people=CELLS[0].people,
        utterances=CELLS[0].utterances,
        metrics={text: CELLS[0].metrics["failed"]},
    )
    return packet(
        incident=text,
        tool_version=text,
        cause=cause,
        cells=(*CELLS, cell),
        pooled=(text,),
        drift=(finding,),
        form=FormAnswers(affected_groups=(f"accent={text}",)),
        percentiles=tuple(
            replace(item, slice=f"accent={text}", metric=text) for item in packet().percentiles
        ),
        summaries=({"payload": text, "payloadType": text, "signatures": []},),
    )


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("packet.html", PacketPages().html(packet())),
        ("packet.md", PacketPages().markdown(packet())),
        ("packet.txt", terminal(packet_text(packet()))),
        ("packet_unclear.txt", terminal(packet_text(unclear()))),
    ],
)
def test_a_packet_is_drawn_as_the_golden_one(name: str, drawn: str) -> None:
    """Page, Markdown and text of the example are those in the tree."""
    path = GOLDEN / name
    if os.environ.get("RELKIT_REGENERATE_GOLDEN"):
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("shown", [packet(), unclear(), hostile(HOSTILE[6])])
def test_text_fits_a_terminal(shown: Packet) -> None:
    """No line is wider than 80 columns, but for words that are longer."""
    lines = terminal(packet_text(shown)).split("\n")
    assert [line for line in lines if len(line) > 80] == []


def test_a_page_is_one_file_in_which_nothing_runs() -> None:
    """No script, no link, nothing fetched; the style is the one that the policy names."""
    page = html(packet())
    elements = Elements(page)
    assert not elements.tags & {"script", "a", "img", "link", "iframe", "object", "form", "base"}
    names = {name for name, _ in elements.attributes}
    assert not names & {"style", "src", "href", "action", "srcset"}
    assert not [name for name in names if name.startswith("on")]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert unescape(policy[1]) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_a_page_tells_nothing_of_its_own_digest() -> None:
    """It can be drawn before its digest is known, and again from the packet that names it."""
    assert html(packet()) == html(packet(page="ab" * 32))
    assert html(packet()) != html(packet(status="resolved"))


def test_a_page_is_the_same_after_the_way_through_a_file() -> None:
    """Signed JSON has its keys in another order; the page does not show that."""
    payload = render_statement(packet())
    read = parse_content(payload, Packet, source="p")
    assert PacketPages().html(read) == html(packet())
    assert PacketPages().markdown(read) == PacketPages().markdown(packet())
    assert packet_text(read) == packet_text(packet())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text_on_the_page(text: str) -> None:
    """A page has the same elements and attributes whatever its names are."""
    plain, shown = Elements(html(hostile("plain"))), Elements(html(hostile(text)))
    assert shown.tags == plain.tags
    assert {name for name, _ in shown.attributes} == {name for name, _ in plain.attributes}
    assert Elements(html(hostile("{{ 7 * 7 }}"))).text.startswith("{{ 7 * 7 }}")
    assert not set(html(hostile(text))) & {"\u202e", "\x1b", "\x07"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text_in_markdown(text: str) -> None:
    """The rendered Markdown has no link, image, code or heading that a name has made."""
    render = MarkdownIt("gfm-like", {"linkify": False}).enable("table").render
    plain = re.findall(r"<(\w+)", render(PacketPages().markdown(hostile("plain"))))
    shown = re.findall(r"<(\w+)", render(PacketPages().markdown(hostile(text))))
    assert shown == plain
    assert "{{ 7 * 7 }}" in render(PacketPages().markdown(hostile("{{ 7 * 7 }}")))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_do_not_steer_a_terminal(text: str) -> None:
    """No control character is left, and no line is a command of a runner."""
    shown = terminal(packet_text(hostile(text)))
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not [line for line in shown.split("\n") if line.lstrip().startswith("::")]


def test_sessions_are_not_called_people() -> None:
    """Where sessions are counted, the page says so, and says which number is the fewest."""
    text = Elements(html(unclear())).text
    assert "sessions, not people: at least 50" in text
    assert "fewer than three sessions" in text
    assert "sessions affected" in text


def test_what_the_incident_was_seen_in_stands_first() -> None:
    """Triage names a signal, cells and percentiles the column that it looks at."""
    cause = packet().cause
    grounding = PacketView(packet(cause=replace(cause, metric="not_grounded")))
    assert grounding.metrics[0].metric == "grounded"
    slow = PacketView(packet(cause=replace(cause, metric="slow_tts")))
    assert slow.percentiles[0].metric == "tts_ttfb_ms"
    whole = PacketView(packet(cause=replace(cause, slice="overall")))
    assert dict(whole.facts)["For whom"] == "all traffic, 50 to 99 people"
    released = replace(CELLS[1], slice="release_asr=2.4.0")
    beside = packet(cells=(*CELLS, released), cause=replace(cause, slice="overall"))
    lines = PacketView(beside).metrics[0].lines
    assert [line.slice for line in lines if line.near] == ["overall", "release_asr=2.4.0"]
