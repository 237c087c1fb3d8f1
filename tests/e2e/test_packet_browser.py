"""The page of a packet in a real browser: phone, paper, dark, and data that tries to break out."""

import base64
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.html import PacketPages
from relkit.disclosure.types import Packet
from tests.adapters.test_packet_pages import HOSTILE, hostile
from tests.e2e.test_report_browser import (
    assert_quiet,
    browser,
    opened,
    run_js,
    texts,
)
from tests.packet_data import packet, unclear

__all__ = ["browser"]

SIDEWAYS = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"


def written(folder: Path, shown: Packet) -> Path:
    """Write the page of a packet and return its path."""
    path = folder / "page.html"
    path.write_text(PacketPages().html(shown), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 1100])
def test_a_packet_is_read_at_every_width(tmp_path: Path, browser: Any, width: int) -> None:  # noqa: ANN401  # selenium's driver
    """Nothing scrolls sideways, letters are large enough, the failing slice stands first."""
    for shown in (packet(), unclear(), hostile("x" * 64)):
        opened(browser, written(tmp_path, shown), width=width)
        assert run_js(browser, SIDEWAYS) == 0
    opened(browser, written(tmp_path, packet()), width=width)
    assert texts(browser, "#slices tbody th")[0].split() == ["accent=scottish", "failing"]
    assert len(browser.find_elements("css selector", "#slices svg .at")) >= 6
    sizes = run_js(
        browser,
        "return [...document.querySelectorAll('p, td, th, li, dd')]"
        ".filter((n) => n.offsetParent).map((n) => parseFloat(getComputedStyle(n).fontSize))",
    )
    assert min(sizes) >= 11
    assert_quiet(browser)


@pytest.mark.slow
def test_hostile_names_run_nothing(tmp_path: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """No script, link or image, no element that a name has made, and nothing is fetched."""
    for text in HOSTILE:
        opened(browser, written(tmp_path, hostile(text)))
        script = "return document.querySelectorAll('script, a, img, iframe, object').length"
        assert run_js(browser, script) == 0
        assert run_js(browser, "return performance.getEntriesByType('resource').length") == 0
        assert_quiet(browser)


@pytest.mark.slow
def test_paper_and_dark_show_all_of_it(tmp_path: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """What is folded away on a screen is on paper; in the dark letters stand out."""
    opened(browser, written(tmp_path, packet()), width=1050)
    folded = (
        "return [...document.querySelectorAll('details td')]"
        ".filter((node) => node.checkVisibility()).length"
    )
    assert run_js(browser, folded) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert run_js(browser, folded) > 0
        assert run_js(browser, SIDEWAYS) == 0
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
        assert base64.b64decode(printed["data"]).startswith(b"%PDF")
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": dark})
        light = "return getComputedStyle(document.body).color"
        assert run_js(browser, light) == "rgb(232, 234, 234)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
