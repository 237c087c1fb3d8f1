"""Every place that tells how to install tells the same, and takes nothing of others."""

import re
import tomllib
from pathlib import Path

from relkit._version import DISTRIBUTION, __version__, with_extra

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
TEXTS = ("*.md", "docs/*.md", "relkit/**/*.py", ".github/**/*.yml")
NAMES = re.compile(r"pip install\b[^\n]*?['\" ](relkit(?:-\w+)*)(?=[\[ '\"`]|$)", re.MULTILINE)


def test_the_name_is_the_constant() -> None:
    """What is built has the name and the version that hints and the doctor show."""
    assert (PROJECT["name"], PROJECT["version"]) == (DISTRIBUTION, __version__)
    own = [item for items in PROJECT["optional-dependencies"].values() for item in items]
    assert {item.partition("[")[0] for item in own if item.startswith("relkit")} == {DISTRIBUTION}
    assert PROJECT["scripts"] == {"relkit": "relkit.__main__:main"}


def test_no_command_installs_what_others_publish() -> None:
    """``pip install relkit`` would bring another project's tool with the same import."""
    paths = [path for pattern in TEXTS for path in ROOT.glob(pattern)]
    assert len(paths) > 100
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    assert set(NAMES.findall(text.replace("pip install\n", "pip install "))) == {DISTRIBUTION}
    named = re.findall(rf"{DISTRIBUTION}\[([\w,-]+)\]", text)
    named += re.findall(r"with_extra\([\"'](\w+)[\"']\)", text)
    assert {extra for extras in named for extra in extras.split(",")} <= EXTRAS


def test_the_pattern_sees_what_it_looks_for() -> None:
    """The name alone, with an extra, quoted, or after an option is seen; other names are not."""
    for command in ("pip install relkit", "pip install 'relkit[asr]'", "pip install -U relkit`"):
        assert NAMES.findall(command) == ["relkit"]
    assert NAMES.findall(with_extra("asr")) == [DISTRIBUTION]
    assert NAMES.findall("pip install '.[asr]' # ./relkit/x") == []
