"""Text from data made harmless for the place it goes to: each format has its own traps."""

import re

# A colon is special only before a character (":emoji:", "https://"), so the others stay readable.
# A dot is only after "www", which GitHub makes a link of.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|~$@&]|:(?=\S)|(?<=www)\.")

# GitHub looks for these in rendered text, where no backslash is left: a person would be notified,
# or an issue linked. A zero-width space after the sign ends the search (Renovate does the same).
_REFERENCE = re.compile(r"\\[@#]|\bGH(?=-)", re.IGNORECASE)
_APART = "&#8203;"

# What is no character of XML 1.0 (section 2.2), and CR, which a parser turns into a line feed.
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_OLD_COMMAND = re.compile(r"##(?=\[)")


def flat(text: str) -> str:
    """Return text on one line: control and format characters, and what is none, become spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def markdown(text: str) -> str:
    """Return text that stays text in Markdown, in a table cell, too."""
    return _MARKDOWN.sub(r"\\\g<0>", flat(text))


def github_markdown(text: str) -> str:
    """Return text that stays text on GitHub, where it can mention nobody and link no issue."""
    return _REFERENCE.sub(lambda found: found.group() + _APART, markdown(text))


def code(text: str) -> str:
    """Return text for a code span: back-ticks and line ends have no escape there."""
    return "".join(char if char.isprintable() and char not in "`|" else " " for char in text)


def command_data(text: str) -> str:
    """Return text for the message of a GitHub workflow command.

    As ``escapeData`` of actions/toolkit, after control characters have become spaces.
    """
    return flat(text).replace("%", "%25")


def command_property(text: str) -> str:
    """Return text for a property (``title=``) of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def log_line(text: str) -> str:
    """Return one line that a GitHub runner takes for no command, wherever it is printed.

    A runner acts on ``::name::`` at the start of a line and on ``##[name]`` anywhere in it.
    """
    line = _OLD_COMMAND.sub("## ", flat(text))
    return line if not line.lstrip().startswith("::") else line.replace("::", ": :", 1)


def xml_text(text: str) -> str:
    """Return text whose every character XML 1.0 allows; the others become U+FFFD."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def csv_cell(text: str) -> str:
    """Return text that a spreadsheet shows and does not compute (OWASP, CSV injection)."""
    plain = flat(text)
    return (
        f"'{plain}" if plain.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else plain
    )
