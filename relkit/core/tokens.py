"""Tokens and grapheme clusters: what counts as a word, and what as a character."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Segmenter = Literal["auto", "words", "characters"]
"""``words``: white space alone; ``characters``: every grapheme cluster; ``auto``: white space,
and one token per grapheme cluster in scripts that are written without spaces."""

_FIRST_UNSPACED = "\u0e00"  # no script written without spaces lies below Thai
_FIRST_JOINING = "\u0300"  # below it, every character but CR LF is a cluster of its own

# Invisible separators that Unicode does not call white space: the zero width space that marks
# word ends in Khmer, Lao, Myanmar and Thai text, and the byte order mark of a file's first line.
ZERO_WIDTH = {0x200B: " ", 0xFEFF: " "}

# What nobody sees or says (Unicode's Default_Ignorable_Code_Point): direction marks, soft hyphens,
# word joiners, variation selectors … Not the two above, which separate, nor ZWNJ and ZWJ, which are
# orthography in Persian and in Indic scripts; those are nothing where they stand alone.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_LONE_JOINERS = re.compile("(?<!\\S)[\u200c\u200d]+(?!\\S)")


def tokens(text: str, segmenter: Segmenter = "auto") -> list[str]:
    """Return the tokens that are counted: NFC, split on any Unicode white space.

    Zero width spaces and byte order marks separate as well, invisible characters go. With ``auto``,
    text in scripts written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar …) gives one token
    per grapheme cluster, and other words beside it stay whole.
    """
    if segmenter == "characters":
        return [cluster for cluster in graphemes(text) if cluster != " "]
    if text.isascii():
        return text.split()
    text = composed(text)
    if segmenter == "words" or max(text, default="") < _FIRST_UNSPACED:
        return text.split()
    from relkit.core.unicode_text import auto_tokens  # noqa: PLC0415  # 50 ms to load

    return auto_tokens(text)


def graphemes(text: str) -> Sequence[str]:
    r"""Return the grapheme clusters that CER counts (UAX #29 ``\X`` after NFC).

    A run of white space counts as one space, and white space at either end as nothing. Where
    every character is a cluster the text itself is returned, which is much faster to compare.
    """
    text = " ".join((text if text.isascii() else composed(text)).split())
    if text.isascii() or max(text) < _FIRST_JOINING:
        return text
    from relkit.core.unicode_text import grapheme_clusters  # noqa: PLC0415  # 50 ms to load

    split = grapheme_clusters(text)
    return text if len(split) == len(text) else split


def visible(text: str) -> str:
    """Return the text without the characters that nobody sees or says."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def composed(text: str) -> str:
    """Return the visible text in NFC, zero width separators as spaces: what is cut into tokens."""
    text = visible(text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if "\u200b" in text or "\ufeff" in text:
        text = text.translate(ZERO_WIDTH)
    if "\u200c" in text or "\u200d" in text:
        text = _LONE_JOINERS.sub("", text)
    return text
