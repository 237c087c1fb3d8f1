"""The report in a real browser, from a real run whose data tries to break out of it."""

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.attestation.envelopes import Envelope, render_envelope
from relkit.attestation.statements import render_statement
from relkit.cli.boundary import run as relkit
from relkit.gate.types import Verdict
from tests.conftest import Workspace
from tests.fakes import write_tone
from tests.gate_decisions import blocked, decision, failing, judged, part, result

SUITE = """\
schema: relkit.suite/v1
name: spoken
dataset: {name: spoken}
normalizer: none
metrics: [wer, wer_capped, cer, failure_rate, latency_ms]
slices: [accent, noise, "accent&noise"]
system: {kind: recorded, path: answers.jsonl}
"""
DATASET = "name: spoken\ncluster: speaker\nslices: [accent, noise]\n"
PLANTED = "zyzzyva"
"""A word that stands in references and hypotheses, and nowhere else."""

HOSTILE = (
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=2>",
    "javascript:window.owned=3",
    "\"'><svg/onload=window.owned=4>",
    "\u202etxt.exe \u05e9\u05dc\u05d5\u05dd \N{GRINNING FACE}",
)
ACCENTS = ("plain", "broad", "<b>bold</b> & co", "a=b&c*d%")
ENTER = "\ue007"
"""The key, as WebDriver names it."""

TIMES = "\N{MULTIPLICATION SIGN}"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--force-prefers-reduced-motion",
    "--window-size=1280,900",
)
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (e) => window.violations.push(e.blockedURI));
window.alert = window.confirm = window.prompt = () => { window.owned = 5; };
"""


def rows() -> list[dict[str, Any]]:
    """Return 120 utterances of 8 speakers; the first ones are hostile in every field."""
    found = []
    for i in range(120):
        hostile = HOSTILE[i] if i < len(HOSTILE) else ""
        found.append(
            {
                "id": f"{hostile} utterance-{i:03}".strip(),
                "audio_filepath": f"audio/{i}.flac",
                "text": f"turn {hostile} {PLANTED} on number {i}",
                "speaker": f"s{i % 8}",
                "accent": ACCENTS[i % 4],
                "noise": "clean" if i % 3 else "babble",
                "consent": "granted" if i % 2 else "unknown",
            }
        )
    return found


def answer(i: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return what was recognised: every third one wrong, one loop, one failure."""
    text = row["text"].replace("turn", "burn") if i % 3 == 0 else row["text"]
    if i == 7:
        text += " again" * 60
    said: dict[str, Any] = {"id": row["id"], "text": text, "latency_ms": 100.0 + i}
    return {"id": row["id"], "error": "timeout"} if i == 8 else said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a workspace with two finished runs of a hostile dataset."""
    folder = tmp_path_factory.mktemp("report") / "workspace"
    write_scaffold(folder, scaffold_source())
    data = folder / "datasets" / "spoken"
    (data / "audio").mkdir(parents=True)
    (data / "dataset.yaml").write_text(DATASET, encoding="utf-8")
    for i in range(120):
        write_tone(data / "audio" / f"{i}.flac", seconds=0.1 + i / 1000)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows()]
    (data / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    answers = [json.dumps(answer(i, row)) + "\n" for i, row in enumerate(rows())]
    (folder / "answers.jsonl").write_text("".join(answers), encoding="utf-8")
    (folder / "eval" / "suites" / "spoken.yaml").write_text(SUITE, encoding="utf-8")
    for _ in range(2):
        assert relkit(["eval", "spoken", "--quiet", "--workspace", str(folder)]) == 0
    return folder


def make(folder: Path, name: str, *flags: str, baseline: bool = False) -> Path:
    """Write the report of the last run and return its path."""
    runs = sorted((folder / ".relkit" / "runs").iterdir())
    named = [run.name for run in (reversed(runs) if baseline else runs[:1])]
    target = folder / "pages" / name
    arguments = ["report", *named, *flags, "--output", str(target), "--workspace", str(folder)]
    assert relkit(arguments) == 0
    return target


class Recording(SimpleHTTPRequestHandler):
    """Serves a folder and writes down every path that is asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Serve a file."""
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:  # the base class writes to stderr
        """Say nothing."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give a headless browser with a fresh profile that sees every script of a page start."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)} (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(found["chromedriver"]))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    yield driver
    driver.quit()


def resize(browser: Any, width: int, *, mobile: bool = False) -> None:  # noqa: ANN401  # selenium's driver
    """Give the browser a screen of this width."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def opened(browser: Any, page: Path, *, width: int = 1280) -> Any:  # noqa: ANN401  # as above
    """Open a page from disk and return the browser."""
    browser.get_log("browser")
    browser.get_log("performance")
    resize(browser, width, mobile=width < 500)
    browser.get(page.as_uri())
    return browser


def run_js(browser: Any, script: str, *arguments: object) -> Any:  # noqa: ANN401  # as above
    """Run a function body in the page and return what it returns."""
    return browser.execute_script(script, *arguments)


def find(browser: Any, selector: str) -> Any:  # noqa: ANN401  # as above
    """Return the first element."""
    return browser.find_element("css selector", selector)


def press(node: Any) -> None:  # noqa: ANN401  # selenium's element
    """Press a button or open an utterance from the keyboard, as everybody must be able to."""
    node.send_keys(ENTER)


def open_first(browser: Any) -> None:  # noqa: ANN401  # as above
    """Open the first utterance and wait until the page has filled it."""
    press(find(browser, "#utterances summary"))
    browser.execute_async_script(
        "const [done] = arguments; const first = document.querySelector('#utterances details');"
        "const wait = () => (first.dataset.filled ? done() : setTimeout(wait, 5)); wait();"
    )


def choose(browser: Any, selector: str, value: str) -> None:  # noqa: ANN401  # as above
    """Set a field and tell the page, as a user's typing or choosing does."""
    run_js(
        browser,
        "const [node, value] = arguments; node.value = value;"
        "node.dispatchEvent(new Event(node.tagName === 'SELECT' ? 'change' : 'input'));",
        find(browser, selector),
        value,
    )


def texts(browser: Any, selector: str) -> list[str]:  # noqa: ANN401  # as above
    """Return the text of every visible element."""
    script = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter((node) => node.offsetParent).map((node) => node.textContent.trim())"
    )
    found: list[str] = run_js(browser, script, selector)
    return found


def assert_quiet(browser: Any) -> None:  # noqa: ANN401  # as above
    """Nothing executed, nothing was blocked, nothing was logged, nothing was asked for."""
    assert run_js(browser, "return window.owned") is None
    assert run_js(browser, "return window.violations") == []
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []


@pytest.mark.slow
def test_slices_sort_and_filter(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """A click sorts a column, another turns it round; text and column filter the rows."""
    opened(browser, make(folder, "plain.html"))
    assert texts(browser, "#slice-count") == ["15 of 15 slices"]
    heads = browser.find_elements("css selector", "#slice-table th button.sort")
    wer = next(i for i, head in enumerate(heads) if head.text.startswith("wer"))
    column = f"#slice-table tbody tr td:nth-child({wer + 1})"
    for expected, sign in (("descending", -1), ("ascending", 1)):
        press(heads[wer])
        aria = find(browser, f"#slice-table th:nth-child({wer + 1})").get_attribute("aria-sort")
        assert aria == expected
        script = "return [...document.querySelectorAll(arguments[0])].map((n) => n.dataset.v)"
        values = [float(value) for value in run_js(browser, script, column)]
        assert values == sorted(values, key=lambda value: sign * value)
        assert len(set(values)) > 3
    press(heads[0])
    assert len(browser.find_elements("css selector", "#slice-table th[aria-sort]")) == 1
    choose(browser, "#slice-filter", "accent=<b>BOLD</b>")
    assert texts(browser, "#slice-table tbody th") == [
        "accent=<b>bold</b> & co",
        "accent=<b>bold</b> & co & noise=babble",
        "accent=<b>bold</b> & co & noise=clean",
    ]
    choose(browser, "#slice-filter", "")
    choose(browser, "#slice-column", "noise")
    assert len(texts(browser, "#slice-table tbody th")) == 10
    choose(browser, "#metric", "cer")
    assert [text.split()[0] for text in texts(browser, "#slices .forest caption")] == ["cer"]
    assert_quiet(browser)


@pytest.mark.slow
def test_an_utterance_opens_and_is_found(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """Search, kinds, slices, order, pages and confusions lead to the aligned utterance."""
    opened(browser, make(folder, "text.html", "--with-text"))
    assert texts(browser, "#found") == ["42 utterances of 120"]
    choose(browser, "#kind", "all")
    assert len(texts(browser, "#utterances > li")) == 50
    press(find(browser, "#next"))
    press(find(browser, "#next"))
    assert len(texts(browser, "#utterances > li")) == 20
    assert find(browser, "#next").get_attribute("disabled")
    choose(browser, "#search", "burn  ".strip() + " zyzzyva on number 99")
    assert len(texts(browser, "#utterances > li")) == 1
    assert not texts(browser, "#utterances .align")
    open_first(browser)
    assert texts(browser, "#utterances .align .substitution") == ["substitution: turnburn"]
    assert texts(browser, "#utterances .align .hit .r") == ["zyzzyva", "on", "number", "99"]
    assert "noise=babble" in texts(browser, "#utterances .chip")
    choose(browser, "#search", "utterance-007")
    open_first(browser)
    assert texts(browser, "#utterances .align .insertion") == [f"insertion: ·again {TIMES} 60"]
    assert "runaway" in texts(browser, "#utterances summary .chip")
    choose(browser, "#search", "")
    choose(browser, "#kind", "failure")
    assert texts(browser, "#found") == ["1 utterance of 120"]
    choose(browser, "#kind", "all")
    press(find(browser, ".find[data-given=burn]"))
    assert texts(browser, "#found") == ["40 utterances of 120"]
    assert texts(browser, "#picked")[0].startswith("Only with this substitution: turn taken for")
    press(find(browser, "#picked button"))
    assert texts(browser, "#found") == ["120 utterances of 120"]
    choose(browser, "#order", "latency")
    assert "utterance-119" in texts(browser, "#utterances .id")[0]
    where = run_js(
        browser,
        "return [...document.querySelectorAll('#where option')]"
        ".find((node) => node.textContent === 'babble').value",
    )
    choose(browser, "#where", where)
    assert texts(browser, "#found") == ["40 utterances of 120"]
    assert_quiet(browser)


@pytest.mark.slow
def test_hostile_data_is_text_and_never_runs(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """Markup in ids, slices, references and hypotheses is shown to the letter."""
    page = make(folder, "hostile.html", "--with-text", "--with-audio", baseline=True)
    opened(browser, page)
    choose(browser, "#kind", "all")
    for i, hostile in enumerate(HOSTILE):
        choose(browser, "#search", f"utterance-{i:03}")
        assert texts(browser, "#utterances .id") == [f"{hostile} utterance-{i:03}"]
        open_first(browser)
        words = texts(browser, "#utterances .align .r")
        # A direction mark is no part of a word: nobody says it.
        assert " ".join(words[1:-4]) == " ".join(hostile.replace("\u202e", "").split())
    assert "<b>bold</b> & co" in texts(browser, "#slice-table tbody th .val")
    script = "return [...document.querySelectorAll('b, img, svg[onload]')].map((n) => n.outerHTML)"
    assert not [html for html in run_js(browser, script) if "bold" in html or "onerror" in html]
    assert run_js(browser, "return document.scripts.length") == 3
    assert_quiet(browser)


@pytest.mark.slow
def test_embedded_audio_plays(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """A clip with consent has a player whose sound decodes; one without has none."""
    opened(browser, make(folder, "audio.html", "--with-audio"))
    assert "60 clips" in " ".join(texts(browser, "#errors > p"))
    assert "consent is unknown" in " ".join(texts(browser, "#errors > p"))
    choose(browser, "#kind", "all")
    choose(browser, "#search", "utterance-098")
    open_first(browser)
    assert not browser.find_elements("css selector", "#utterances audio")
    choose(browser, "#search", "utterance-099")
    open_first(browser)
    seconds = browser.execute_async_script(
        "const [done] = arguments; const audio = document.querySelector('#utterances audio');"
        "audio.onloadedmetadata = () => done(audio.duration);"
        "audio.onerror = () => done(String(audio.error.message)); audio.load();"
    )
    assert seconds == pytest.approx(0.199, abs=0.002)
    assert_quiet(browser)


@pytest.mark.slow
def test_over_http_only_the_page_itself_is_asked_for(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """A server sees one request, whatever is opened on the page."""
    page = make(folder, "served.html", "--with-text", "--with-audio")
    Recording.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Recording, directory=str(page.parent)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        browser.get_log("browser")
        browser.get(f"http://127.0.0.1:{server.server_port}/served.html")
        for summary in browser.find_elements("css selector", "#utterances summary")[:10]:
            press(summary)
        choose(browser, "#search", PLANTED)
        assert run_js(browser, "return performance.getEntriesByType('resource')") == []
        assert run_js(browser, "return window.violations") == []
        assert browser.get_log("browser") == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert Recording.asked == ["/served.html"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 320, 768, 1280])
def test_no_width_scrolls_sideways(folder: Path, browser: Any, width: int) -> None:  # noqa: ANN401  # as above
    """Wide tables scroll inside their own frame, even with an utterance open."""
    opened(browser, make(folder, "wide.html", "--with-text", baseline=True), width=width)
    for summary in browser.find_elements("css selector", "#utterances summary")[:8]:
        press(summary)
    script = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    assert run_js(browser, script) == 0
    sizes = run_js(
        browser,
        "return [...document.querySelectorAll('p, td, li')].filter((n) => n.offsetParent)"
        ".map((n) => parseFloat(getComputedStyle(n).fontSize))",
    )
    assert min(sizes) >= 11
    assert_quiet(browser)


@pytest.mark.slow
def test_paper_shows_everything_and_no_controls(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """In print the fields are gone, framed tables are whole and nothing is cut off sideways."""
    opened(browser, make(folder, "print.html", "--with-text"), width=1050)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert texts(browser, "nav, .tools, #pages, .find, #metric") == []
        script = (
            "const box = document.querySelector('.scroll');"
            "return [box.scrollHeight - box.clientHeight, box.scrollWidth - box.clientWidth]"
        )
        assert run_js(browser, script) == [0, 0]
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


@pytest.mark.slow
def test_without_javascript_it_is_still_a_report(folder: Path, browser: Any) -> None:  # noqa: ANN401  # as above
    """Numbers, plot, slices and the worst utterances are there; dead controls are not."""
    page = make(folder, "static.html", "--with-text")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, page)
        shown = [
            node
            for node in browser.find_elements("css selector", "input, select, button")
            if node.is_displayed()
        ]
        assert shown == []
        assert len(browser.find_elements("css selector", "#utterances > li")) == 20
        assert find(browser, ".forest svg .dot").is_displayed()
        press(find(browser, "#utterances summary"))
        assert find(browser, "#utterances .align").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_no_transcript_and_no_audio_is_in_a_page_that_was_not_asked_for_them(folder: Path) -> None:
    """The planted word and the clips are in the file only where their flag was given."""
    pages = {
        "bare": make(folder, "bare.html"),
        "beside": make(folder, "beside.html", baseline=True),
        "audio": make(folder, "only-audio.html", "--with-audio"),
        "text": make(folder, "only-text.html", "--with-text"),
    }
    contents = {name: path.read_bytes() for name, path in pages.items()}
    assert {name for name, data in contents.items() if PLANTED.encode() in data} == {"text"}
    assert {name for name, data in contents.items() if b"burn" in data} == {"text"}
    clip = base64.b64encode(b"fLaC\x00\x00")[:7]
    assert {name for name, data in contents.items() if clip in data} == {"audio"}
    assert not [name for name, data in contents.items() if str(folder).encode() in data]


def test_the_command_says_where_the_page_is_and_what_it_holds(workspace: Workspace) -> None:
    """By default below ``.relkit/reports``, never inside the run; a refusal writes nothing."""
    name = workspace.recorded(lambda row: {"text": row["text"]})
    workspace.relkit("eval", name)
    run = workspace.runs[0]
    before = sorted(run.iterdir())
    said = workspace.relkit("report", run.name[:12])
    assert (said.code, said.out) == (0, "")
    assert said.err == f"report: .relkit/reports/{run.name}.html\n"
    assert (workspace.folder / ".relkit" / "reports" / f"{run.name}.html").is_file()
    assert sorted(run.iterdir()) == before
    assert "it holds transcripts" in workspace.relkit("report", run.name, "--with-text").err
    for arguments in (
        (run.name, run.name),
        (run.name, "--with-text", "--markdown"),
        (run.name, run.name, "--json"),
        ("nope",),
    ):
        target = workspace.folder / "refused.html"
        assert workspace.relkit("report", *arguments, "--output", str(target)).code == 2
        assert not target.exists()


def test_a_baseline_of_another_normalizer_is_refused(workspace: Workspace) -> None:
    """The message says what differs and how to score the baseline alike."""
    workspace.relkit("eval", workspace.recorded(lambda row: {"text": row["text"]}))
    old = workspace.runs[0].name
    workspace.relkit("rescore", old, "--normalizer", "none")
    new = workspace.runs[1].name
    said = workspace.relkit("report", new, old)
    assert said.code == 2
    assert "have another suite" in said.err or "have another normalizer" in said.err
    assert f"relkit rescore {old}" in said.err


def decided(folder: Path) -> Path:
    """Write a decision about the first run that fails, with hostile slices, and return it."""
    run = min((folder / ".relkit" / "runs").iterdir()).name
    hostile = [failing(slice=f"accent={text}", reason=text) for text in HOSTILE]
    shown = decision(
        *hostile,
        *blocked().results,
        *(result(slice=f"accent=a{i}") for i in range(14)),
        verdict=Verdict.FAIL,
        reason_codes=("regressed",),
        parts=(part(candidate=judged(run)),),
    )
    payload = render_statement(shown)
    path = folder / "decision.json"
    path.write_bytes(render_envelope(Envelope(payload=payload)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_decision_stands_first_and_what_blocks_before_the_rest(
    folder: Path,
    browser: Any,  # noqa: ANN401  # as above
    width: int,
) -> None:
    """Verdict, reasons and intervals are there as text and drawing; nothing in them runs."""
    page = make(folder, "decided.html", "--decision", str(decided(folder)), baseline=False)
    opened(browser, page, width=width)
    assert texts(browser, "main > section h2")[0] == "Decision"
    assert texts(browser, ".banner .stance") == ["BLOCKED"]
    assert texts(browser, ".banner .because") == [
        "7 of 24 required checks fail; 1 is undecided",
    ]
    words = texts(browser, "#checks .checks .word")
    assert words[:8] == ["FAIL"] * 7 + ["UNDECIDED"]
    assert set(HOSTILE) <= set(texts(browser, "#checks .why"))
    assert len(browser.find_elements("css selector", "#checks svg .limit")) == 25
    script = "return document.querySelector('#checks .more').open"
    assert run_js(browser, script) is False
    press(find(browser, "#checks .more summary"))
    assert run_js(browser, script) is True
    assert len(texts(browser, "#checks .more .checks tbody tr")) == 16
    assert any(text.startswith("A/A: 3 of 200") for text in texts(browser, "#checks .notes li"))
    script = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    assert run_js(browser, script) == 0
    assert_quiet(browser)


def test_a_decision_about_another_run_is_refused(folder: Path) -> None:
    """A page, or JUnit XML, never shows a verdict beside numbers that it was not about."""
    path = decided(folder)
    first, second = sorted(run.name for run in (folder / ".relkit" / "runs").iterdir())
    target = folder / "pages" / "gate.xml"
    options = ["--decision", str(path), "--junit", str(target), "--workspace", str(folder)]
    assert relkit(["report", second, *options]) == 2
    assert not target.exists()
    assert relkit(["report", first, *options]) == 0
    assert b'type="fail"' in target.read_bytes()
    assert relkit(["report", first, "--markdown", *options]) == 2
    assert relkit(["report", first, *options[2:]]) == 0
    assert b"judged by no gate" in target.read_bytes()
    page = ["--output", str(folder / "pages" / "no.html"), "--workspace", str(folder)]
    assert relkit(["report", second, "--decision", str(path), *page]) == 2
    assert relkit(["report", first, "--decision", str(path), "--json", *page]) == 2
    assert not (folder / "pages" / "no.html").exists()
