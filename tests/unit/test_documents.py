"""The documents: their links lead somewhere, what the code cites exists, and so does the site."""

import html.parser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CODE = ("relkit", "tests", "benchmarks", "gates", "registry", "runbooks")
SOURCES = sorted(
    path
    for path in (*PAGES, *(found for folder in CODE for found in (ROOT / folder).rglob("*")))
    if path.suffix in {".py", ".md", ".yaml"}
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PICTURES = re.compile(
    r"\b(houses?|rooms?|shelf|shelves|lent|mend(?:s|ed|ing)?|heard|supposing|extremes?)\b",
    re.IGNORECASE,
)
_HISTORY = "CHANGELOG.md"  # it says what was, in the words of its time
_CITED = re.compile(
    r"(?<!/ \")(?<![\w/.<-])((?:[\w.-]+/)+[\w-]+\.(?:py|md)|(?:rules|cli)\.md)\b(?!\.j2)"
)
_NOT_OURS = {"tests/x.py"}  # what a test writes into a folder of its own
_SECTION = re.compile(r"(docs/[\w-]+\.md), section\s+\"([^\"]+)\"")


def headings(page: Path) -> set[str]:
    """Return the headings of a page as they are read, without their numbers and marks."""
    found = re.findall(r"^#+ (?:\d+\. )?(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {heading.replace("`", "") for heading in found}


def anchors(page: Path) -> set[str]:
    """Return what a link into a page may name: its headings as GitHub spells them, and its ids."""
    text = page.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)"></a>', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and an anchor that this file has."""
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != _HISTORY], ids=lambda page: page.name
)
def test_documents_use_the_words_of_the_field(page: Path) -> None:
    """No picture stands where the field has a term; code, such as ``not_heard``, is left out."""
    text = re.sub(
        r"^```.*?^```$|`[^`]*`",
        "",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    assert not _PICTURES.findall(text)


def test_documents_that_are_cited_exist() -> None:
    """A document or module that code, tests or documents name is in the clone."""
    missing = {
        (str(source.relative_to(ROOT)), cited)
        for source in SOURCES
        for cited in _CITED.findall(source.read_text(encoding="utf-8"))
        if not any((folder / cited).exists() for folder in (ROOT, ROOT / "relkit", source.parent))
        and cited not in _NOT_OURS
    }
    assert not missing


def test_sections_that_are_cited_exist() -> None:
    """``docs/method.md, section "Intervals"`` is a heading of that page."""
    cited = [
        (str(source.relative_to(ROOT)), page, " ".join(section.split()))
        for source in SOURCES
        for page, section in _SECTION.findall(source.read_text(encoding="utf-8"))
    ]
    assert len(cited) > 30
    assert not [entry for entry in cited if entry[2] not in headings(ROOT / entry[1])]


class Addresses(html.parser.HTMLParser):
    """Collects what a browser fetches for a page."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.fetched: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take scripts, images, frames and linked resources; a link is followed by people only."""
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "source"}:
            self.fetched.add(given.get("src") or "")
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev"}:
            self.fetched.add(given.get("href") or "")


def test_the_site_is_built_and_fetches_nothing(tmp_path: Path) -> None:
    """``mkdocs build --strict`` finds no broken link or anchor, and pages need no network."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= pages
    for path in tmp_path.glob("*.html"):
        addresses = Addresses()
        addresses.feed(path.read_text(encoding="utf-8"))
        assert not {address for address in addresses.fetched if re.match(r"(?:\w+:)?//", address)}


def test_the_index_has_what_the_site_has() -> None:
    """docs/index.md and the navigation of the site list every document, in one order."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- ([a-z-]+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    assert [name for name in listed if name != "index.md"] == _LINK.findall(index)
