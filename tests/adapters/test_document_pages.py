"""Templates of documents, values that stay text in them, and pages for screen and paper."""

import hashlib
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.request import OpenerDirector

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from relkit.adapters.documents.pages import DocumentPages
from relkit.adapters.documents.sandbox import MAX_TEMPLATE, TEMPLATES
from relkit.core.errors import InvalidInput, MissingDependency
from relkit.core.values import Estimate
from relkit.core.wording import flat


@dataclass(frozen=True, slots=True)
class Fact:
    """A value as documents have them: fields, a property, and a method that is not for them."""

    name: str
    rate: Estimate

    @property
    def long_name(self) -> str:
        """What a template may read."""
        return f"release {self.name}"

    def erase(self) -> str:
        """What a template may not call."""
        raise AssertionError


VALUES: dict[str, object] = {
    "fact": Fact(name="asr", rate=Estimate(value=0.1234, low=0.1, high=0.2, unit="fraction")),
    "names": ("plain", "a|b"),
    "text": "**bold** <b>",
    "nothing": None,
    "count": 3,
    "path": Path("relkit.yaml"),
    "by_name": {"a": 1},
}

Render = Callable[..., str]


@pytest.fixture
def pages(tmp_path: Path) -> DocumentPages:
    """Return what draws the documents of a workspace with an empty folder of templates."""
    (tmp_path / TEMPLATES).mkdir(parents=True)
    return DocumentPages(tmp_path)


@pytest.fixture
def render(pages: DocumentPages, tmp_path: Path) -> Render:
    """Return what fills in the text of a template of the workspace."""

    def rendered(template: str, **more: object) -> str:
        (tmp_path / TEMPLATES / "own.md.j2").write_text(template, encoding="utf-8")
        return pages.markdown("own", VALUES | more)

    return rendered


class _Elements(HTMLParser):
    """Collects the elements of a page and its visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page[page.index("<main>") :])

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.tags += [tag] * (tag != "wbr")  # the page's own, in long words

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ text }}", r"\*\*bold\*\* \<b\>"),
        ("{{ fact.name }}, {{ fact.long_name }}", "asr, release asr"),
        ("{{ fact.rate | value }} ({{ fact.rate | interval }})", "12.3 % (10.0 to 20.0 %)"),
        (
            "{{ nothing }}, {{ nothing | ms }}, {{ nan }}",
            "not measured, not measured, not measured",
        ),
        ("{{ count }} {{ true }}", "3 yes"),
        ("{{ -count }} {{ '+0.4 at 10:00:00Z (a_b)' }}", "-3 +0.4 at 10:00:00Z (a_b)"),
        ("{{ names[:1][0] }} {{ text[2:-2][::2] }}", r"plain bl\*"),
        ("{{ names | join('; ') }}", r"plain; a\|b"),
        ("{% macro b(x) %}**{{ x }}**{% endmacro %}{{ b(text) }}", r"**\*\*bold\*\* \<b\>**"),
        (
            "{% macro b(x) %}*{{ x }}*{% endmacro %}{{ b(count) ~ ': ' ~ text }}",
            r"*3*: \*\*bold\*\* \<b\>",
        ),
        ("{% set x %}# {{ text }}{% endset %}{{ x }}", r"# \*\*bold\*\* \<b\>"),
        ("`{{ tick | code }}`", "`a b c`"),
        ("{{ lines | fenced('sh') }}", "````sh\nrelkit gate\n```\n````"),
        ("1. {{ lines | fenced('sh', 3) }}", "1. ````sh\n   relkit gate\n   ```\n   ````"),
        ("{{ spaced | quoted }}", r"'a b; rm \-rf \~'".replace(r"\-", "-")),
        ("{% for k, v in by_name.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("a\n\n\n{% if count > 4 %}\nb\n{% endif %}\n\nc  \n\n", "a\n\nc"),
        ("{{ '{{ count }}' }}", r"\{\{ count \}\}"),
    ],
)
def test_values_are_printed_as_text(render: Render, template: str, text: str) -> None:
    """Without a filter for it, through macros, blocks, joins and filters alike."""
    extra = {"tick": "a`b|c", "lines": "relkit gate\n```", "spaced": "a b; rm -rf ~"}
    assert render(template, nan=float("nan"), **extra) == text + "\n"


@pytest.mark.parametrize(
    ("template", "line", "problem"),
    [
        ("a\n{{ nmes }}", 2, 'no nmes here; did you mean "names"?'),
        ("{{ fact.nme }}", 1, 'no nme here; did you mean "name"?'),
        ("{{ by_name.b }}", 1, "no b here; known: a"),
        ("a\n{% if count %}\nb", 3, "Unexpected end of template"),
        ("\n{{ text | uper }}", 2, "No filter named 'uper'"),
        ("{{ text | safe }}", 1, "No filter named 'safe'"),
        ("{{ nmes | default('x') }}", 1, "No filter named 'default'"),
        ("{% if nmes is defined %}{% endif %}", 1, "No test named 'defined'"),
        ("{{ text.__class__ }}", 1, "__class__ is not open to templates"),
        ("{{ ().__class__.__base__.__subclasses__() }}", 1, "__class__ is not open"),
        ("{{ fact.__init__.__globals__ }}", 1, "__init__ is not open to templates"),
        ("{{ (names | map(attribute='__class__') | list)[0] }}", 1, "__class__ is not open"),
        ("{{ text['__class__'] }}", 1, "__class__ is not open to templates"),
        ("{{ fact.erase() }}", 1, "erase is not open to templates"),
        ("{{ path.read_text() }}", 1, "read_text is not open to templates"),
        ("{{ path }}", 1, "cannot be printed"),
        ("{{ fact }}", 1, "a Fact cannot be printed"),
        ("{{ names }}", 1, "a tuple cannot be printed"),
        ("{{ text.format(1) }}", 1, "this cannot be called here"),
        ("{{ text.center(999999999) }}", 1, "center is not open to templates"),
        ("{{ count() }}", 1, "this cannot be called here"),
        ("{% import 'os' as os %}{{ os.system('x') }}", 1, "no template os"),
        ("{% include '../../relkit.yaml' %}", 1, "no template ../../relkit.yaml"),
        ("{% include '/etc/passwd' %}", 1, "no template /etc/passwd"),
        ("{% include 'relkit/../relkit.yaml' %}", 1, "no template relkit/../relkit.yaml"),
        ("{% extends 'own.md.j2' %}", 1, "a macro or template calls itself"),
        ("{% extends 'missing.md.j2' %}", 1, "no template missing.md.j2"),
        (
            "{% extends 'relkit/runbook-rollback.md.j2' %}\n{% block clsing %}{% endblock %}",
            2,
            'no block clsing there; did you mean "closing"?',
        ),
        (
            "{% extends 'relkit/parts.md.j2' %}{% block x %}{% endblock %}",
            1,
            "no block x there; relkit/parts.md.j2 has none",
        ),
        ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", 1, "calls itself"),
        ("{% for i in range(999999999) %}{% endfor %}", 1, "more than 100,000 turns"),
        (
            "{% for i in range(9999) %}\n{% for j in range(9999) %}{% endfor %}{% endfor %}",
            2,
            "more than 100,000 turns",
        ),
        (
            "{% macro f(n) %}{% if n %}{{ f(n-1) ~ f(n-1) }}{% endif %}{% endmacro %}{{ f(40) }}",
            1,
            "more than 100,000 turns",
        ),
        ("{{ 'a' * 99999999999 }}", 1, "* is for numbers here"),
        ("{{ '%999999999d' % 1 }}", 1, "% is for numbers here"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", 1, "** is for numbers here"),
        ("{% set a = 99999 %}" + "{% set a = a * a %}" * 60, 1, "a number without a bound"),
        ("{% set a = text %}" + "{% set a = a ~ a %}" * 60, 1, "this document has no end"),
        ("{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}", 1, "a list without end"),
        ("{% set a = [1] %}" + "{% set a = a + a %}" * 60, 1, "+ is for numbers here"),
        ("{{ text | replace('b', text | replace('', text)) }}", 1, "replace changes a text"),
        ("{% if nmes is none %}{% endif %}", 1, "no nmes here"),
        ("{{ nmes | thousands }}", 1, "no nmes here"),
        ("{{ nmes | upper }}", 1, "no nmes here"),
        ("{{ 5 | round(-999999999) }}", 1, "round takes 0 to 9 digits"),
        ("{% for i in names %}" * 30 + "{% endfor %}" * 30, None, "nested too deeply"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", None, ""),
        (
            "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{% set b = [1] %}"
            "{% set b = [b, b] %}" * 60 + "{{ a == b }}",
            1,
            "a list without end",
        ),
        ("{% set a = {'b': 1} %}" + "{% set a = {'b': (a, a)} %}" * 60, 1, "a list without end"),
        ("{% set a = [1, 1] %}" + "{% set a = [a, a] | sum(start=[]) %}" * 60, 1, "without end"),
        ("".join(f"{{% set a{i} = range(9999) | list %}}" for i in range(99)), 1, "100,000 turns"),
        (
            "{% set a = text %}"
            + "{% set a = a ~ a %}" * 16
            + "".join(f"{{% set b{i} = a | upper %}}" for i in range(99)),
            1,
            "this document has no end",
        ),
        ("{{ text | md | reverse }}", 1, "laid out can only be printed or joined"),
        ("{{ (text | md)[::-1] }}", 1, "laid out can only be printed or joined"),
        ("{{ (text | md).strip() }}", 1, "strip is not open to templates"),
        ("{{ text | code | replace('b', 'c') }}", 1, "replace changes a text"),
        ("{% autoescape false %}{{ text }}{% endautoescape %}", 1, "is always escaped"),
        ("{% set by_name.a = 3 %}", 1, "cannot assign attribute"),
        ("{{ 1 / 0 }}", 1, "this cannot be worked out (ZeroDivisionError)"),
        ("{{ text | int }}", 1, "No filter named 'int'"),
        ("{{ count | round('x') }}", 1, "this cannot be worked out (TypeError)"),
        ("{{ 'a' if count > 9 }}", 1, "an if without else has nothing to print"),
        ("{{ self }}", 1, "cannot be printed"),
        ("{{ by_name.get }}", 1, "cannot be printed"),
        ("{% filter upper %}a{% endfilter %}", 1, "laid out can only be printed or joined"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_one_message(
    render: Render, template: str, line: int | None, problem: str
) -> None:
    """It names the file as people know it, the line and what is wrong, within bounds."""
    with pytest.raises(InvalidInput) as caught:
        render(template)
    where = "" if line is None else f", line {line}: "
    assert caught.value.message.startswith(f"runbooks/templates/own.md.j2{where}")
    assert problem in caught.value.message
    assert "\n" not in caught.value.message
    assert str(VALUES["text"]) not in f"{caught.value.message} {caught.value.hint}"


def test_a_document_without_end_names_its_template(render: Render) -> None:
    """No line of it is to blame, and no memory is spent on it."""
    with pytest.raises(InvalidInput, match=r"^runbooks/templates/own\.md\.j2: .* no end"):
        render("{% for i in range(9999) %}" + "x" * 9999 + "{% endfor %}")


def test_a_workspace_extends_and_includes_what_is_in_the_two_folders(
    pages: DocumentPages, tmp_path: Path
) -> None:
    """Its own template comes first, and has relkit's of the same name as ``relkit/NAME``."""
    folder = tmp_path / TEMPLATES
    (folder / "base.md.j2").write_text("# {% block title %}base{% endblock %}\n")
    (folder / "note.md.j2").write_text("Call {{ text }}.\n")
    (folder / "own.md.j2").write_text(
        "{% extends 'base.md.j2' %}{% block title %}{{ super() }}, own{% endblock %}"
    )
    assert pages.markdown("own", VALUES) == "# base, own\n"
    (folder / "own.md.j2").write_text(
        "{% from 'relkit/parts.md.j2' import table %}\n"
        "{{ table(('name', 'n'), ((text, count),), right=(2,)) }}\n{% include 'note.md.j2' %}"
    )
    assert pages.markdown("own", VALUES) == (
        "| name | n |\n|---|---:|\n| \\*\\*bold\\*\\* \\<b\\> | 3 |\n\n"
        "Call \\*\\*bold\\*\\* \\<b\\>.\n"
    )
    (folder / "parts.md.j2").write_text("ours")
    assert pages.markdown("parts", VALUES) == "ours\n"
    assert DocumentPages(None).markdown("parts", VALUES) == "\n"


def test_files_outside_of_the_two_folders_are_no_templates(
    pages: DocumentPages, tmp_path: Path
) -> None:
    """Not by a link, a folder that is a link, a huge file, or one that is no text."""
    folder = tmp_path / TEMPLATES
    outside = tmp_path / "secret.md.j2"
    outside.write_text("secret")
    (folder / "link.md.j2").symlink_to(outside)
    (folder / "loop.md.j2").symlink_to(folder / "loop.md.j2")
    (folder / "device.md.j2").symlink_to("/dev/zero")
    (folder / "folder.md.j2").mkdir()
    (folder / "huge.md.j2").write_text("x" * (MAX_TEMPLATE + 1))
    (folder / "binary.md.j2").write_bytes(b"\xff\xfe\x00")
    for name in ("link", "loop", "device", "folder", "huge", "binary"):
        with pytest.raises(InvalidInput, match=rf"^runbooks/templates/{name}\.md\.j2: "):
            pages.markdown(name, VALUES)
    for name in ("../../secret", "/etc/passwd", "nope", "a/b", ""):
        with pytest.raises(InvalidInput, match=r"^no template .*"):
            pages.markdown(name, VALUES)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="no file of this folder"):
        pages.markdown("huge", VALUES)


HOSTILE = (
    "{{ 7 * 7 }}",
    "{% include 'own.md.j2' %}",
    "{# note #}",
    "{{ value.__class__ }}",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#124; &amp;",
    "[click](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "[a]: https://evil.example",
    "# heading",
    "- item",
    "1. item",
    "1) item",
    "+ item",
    "> quote",
    "    code",
    "~~~",
    "---",
    "===",
    "```\ncode\n```",
    "`code`",
    "| a | b |",
    "|---|",
    ":-:",
    "**b** _it_ ~~no~~",
    "https://evil.example",
    "www.evil.example",
    "me@evil.example",
    "$x$",
    "[ ] box",
    "\\",
    "line\n\n# heading",
    "line\r\n| a |",
    "x\u2028y\x85z\x0b\x0c",
    "\x1b[31mred",
    "a\x00b",
    "\u202egpj.exe",
    "a\ud800",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "-1+2",
    "\t=1",
)

EVERY_PLACE = """{{ value }}

{{ value }} and {{ value }}
{{ value }}

# {{ value }}

- {{ value }}
- [ ] {{ value }}
  {{ value }}

1. {{ value }}

> {{ value }}

| {{ value }} | b |
|---|---:|
| {{ value }} | **{{ value }}** |
| {{ [value, value] | join(", ") }} | {{ "is " ~ value }} |
"""


def assert_text(pages: DocumentPages, folder: Path, value: str) -> None:
    """Assert that a page shows a value as its text, with the elements of any other value."""
    (folder / TEMPLATES / "own.md.j2").write_text(EVERY_PLACE, encoding="utf-8")
    expected, elements = (
        _Elements(pages.html(pages.markdown("own", {"value": text}), title=text))
        for text in ("VALUE", value)
    )
    assert elements.tags == expected.tags
    text = expected.text.replace("VALUE", flat(value))
    assert "".join(elements.text.split()) == "".join(text.split())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=60) | st.text("*_`~#+-=|[]()<>!&\\:.1 {}%\n\t$@", max_size=30))
def test_any_value_survives_as_text(pages: DocumentPages, tmp_path: Path, value: str) -> None:
    """Its visible text is the value's, and no element comes from it, wherever it is printed."""
    assume(flat(value).strip())
    assert_text(pages, tmp_path, value)


@pytest.mark.parametrize("value", HOSTILE)
def test_markup_in_a_value_is_text(pages: DocumentPages, tmp_path: Path, value: str) -> None:
    """Templates, HTML, Markdown, terminal escapes and formulas alike."""
    assert_text(pages, tmp_path, value)


PAGE = """---
license: mit
---
# Same

## Same

- [ ] do
- [x] done

| a | b |
|---|---:|
| 1 | 2 |

[a](javascript:alert(1)) [b](data:text/html,x) [c](#same) [d](https://d.example)
[e](file:///etc/passwd) ![f](https://f.example/x.png) <script>alert(1)</script>
"""


def test_a_page_runs_and_fetches_nothing(pages: DocumentPages) -> None:
    """Links go to http, mailto and headings, images are their text, HTML is text."""
    page = pages.html(PAGE, title="a <b> & c")
    assert "<title>a &lt;b&gt; &amp; c</title>" in page
    assert re.findall(r'<h\d id="([^"]+)"', page) == ["same", "same-2"]
    assert re.findall(r'href="([^"]+)"', page) == ["#same", "https://d.example"]
    assert not re.search(r"<(script|img|iframe|link|object)|style=| on\w+=|url\(|@import", page)
    assert "\N{BALLOT BOX} do" in page
    assert "\N{BALLOT BOX WITH CHECK} done" in page
    assert '<td class="right">2</td>' in page
    assert "license" not in page
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    assert "default-src 'none'; style-src 'sha256-" in page
    assert pages.html("# a\n", title="t") == pages.html("# a\n", title="t")


def test_pdf_is_valid_and_the_same_in_each_process(pages: DocumentPages) -> None:
    """A table over two pages gives a PDF of so many pages, and the same bytes elsewhere."""
    rows = "".join(f"| row {i} | {i} |\n" for i in range(60))
    page = pages.html(f"# Rollback\n\n| a | b |\n|---|---:|\n{rows}", title="Rollback")
    data = pages.pdf(page)
    assert (data[:5], data.rstrip()[-5:]) == (b"%PDF-", b"%%EOF")
    streams = re.findall(rb"/FlateDecode.*?stream\n(.*?)\nendstream", data, re.DOTALL)
    plain = data + b"".join(zlib.decompress(stream) for stream in streams)
    assert len(re.findall(rb"/Type /Page\b", plain)) == 2
    assert not re.search(rb"/(JavaScript|JS|URI|EmbeddedFile|CreationDate|ModDate)\b", plain)
    code = (
        "import sys; from relkit.adapters.documents.pages import DocumentPages; "
        "sys.stdout.buffer.write(DocumentPages(None).pdf(sys.stdin.read()))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], input=page.encode(), capture_output=True, check=True
    )
    assert again.stderr == b""
    assert hashlib.sha256(again.stdout).digest() == hashlib.sha256(data).digest()


def test_pdf_fetches_nothing(pages: DocumentPages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither files nor addresses: a page that asks for them is drawn without."""
    asked: list[object] = []
    monkeypatch.setattr(OpenerDirector, "open", lambda _, request, **__: asked.append(request))
    page = (
        '<link rel="stylesheet" href="file:///etc/style.css"><style>@import "http://a.example";'
        "@font-face { font-family: a; src: url(https://b.example/a.ttf) } h1 { font-family: a }"
        '</style><h1>a</h1><img src="file:///etc/passwd"><object data="ftp://c.example/x"></object>'
        '<link rel="attachment" href="file:///etc/passwd"><img src="data:image/png;base64,AAAA">'
    )
    assert pages.pdf(page).startswith(b"%PDF-")
    assert not asked


def test_pdf_without_pango_is_one_message(
    pages: DocumentPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install, and what to do without it."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingDependency) as caught:
        pages.pdf("<h1>a</h1>")
    assert caught.value.hint is not None
    assert "relkit-speech[pdf]" in caught.value.hint
    assert "install pango" in caught.value.hint
