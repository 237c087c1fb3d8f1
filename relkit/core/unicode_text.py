"""What needs Unicode properties: grapheme clusters, unspaced scripts, punctuation.

A module of its own, imported when a text needs it: its patterns take longer to compile than most
files take to score.
"""

import regex

# Scripts of line-breaking class SA (UAX #14) and the ideographic ones, with the punctuation and
# the sound mark that belong to them but carry the script "Common".
_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tibetan}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Javanese}\p{Balinese}"
    r"\u3001-\u303f\u30a0\u30fb\u30fc\uff61-\uff65\uff70"
)

_UNSPACED_CHARACTER = regex.compile(f"[{_UNSPACED}]")
_AUTO_TOKEN = regex.compile(rf"(?=[{_UNSPACED}])\X|(?:(?![{_UNSPACED} ])\X)+")
_CLUSTER = regex.compile(r"\X")
_APOSTROPHES = "'\u2019\uff07\u02bc"
_WORD = r"[\p{L}\p{M}\p{N}]"

_STRIPPED = regex.compile(
    rf"(?<!{_WORD})[{_APOSTROPHES}]|[{_APOSTROPHES}](?!{_WORD})|[[\p{{P}}\p{{S}}]--[{_APOSTROPHES}]]",
    regex.VERSION1,
)

# A mark belongs to the letter, digit or joiner before it; others are what is left of a symbol.
_SYMBOLS = regex.compile(
    r"[\p{P}\p{S}\p{Me}][\p{M}\u200c\u200d]*|(?<![\p{L}\p{M}\p{N}\u200c\u200d])\p{M}+"
)

# NFKC takes Thai and Lao AM apart, which are one character to whoever reads them.
_AM = regex.compile(r"([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb]?)([\u0e32\u0eb2])")

_ONE_APOSTROPHE = str.maketrans(dict.fromkeys(_APOSTROPHES, "'"))


def auto_tokens(text: str) -> list[str]:
    """Return the tokens of an NFC text: words, and grapheme clusters of unspaced scripts."""
    if not _UNSPACED_CHARACTER.search(text):
        return text.split()
    split: list[str] = _AUTO_TOKEN.findall(" ".join(text.split()))
    return split


def grapheme_clusters(text: str) -> list[str]:
    r"""Return the grapheme clusters of a text (UAX #29 ``\X``)."""
    split: list[str] = _CLUSTER.findall(text)
    return split


def without_punctuation(text: str) -> str:
    """Return the text with punctuation and symbols as spaces, apostrophes inside words kept."""
    stripped: str = _STRIPPED.sub(" ", text)
    return stripped.translate(_ONE_APOSTROPHE)


def without_symbols(text: str) -> str:
    """Return an NFKC text with punctuation, symbols and stray marks as spaces."""
    stripped: str = _AM.sub(lambda am: am[2] + chr(ord(am[3]) + 1), _SYMBOLS.sub(" ", text))
    return stripped
