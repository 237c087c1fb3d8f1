"""Values of a column that people take for one: they differ by what is hard to see."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from relkit.core.yaml_text import shown
from relkit.datasets.types import NO_VALUE, Dataset

_LATIN = str.maketrans(
    # Cyrillic and Greek after case folding, and the Latin letters that they look like in small or
    # in capital letters (single letters of confusables.txt, Unicode UTS #39).
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0475"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b3\u0131",
    "abekmhopctyxijshdqwvabezhikmnoptuxyi",
)


def appearance(value: str) -> str:
    """Return what is left of a value without case, blanks, marks nobody sees and other alphabets.

    Compatible forms (NFKC) count as one.
    """
    seen = "".join(c for c in value if unicodedata.category(c) not in {"Cf", "Cc", "Zl", "Zp"})
    folded = unicodedata.normalize("NFKC", seen).casefold().translate(_LATIN)
    return "".join(folded.split())


def look_alikes(dataset: Dataset, columns: Iterable[str]) -> Iterator[str]:
    """Yield a note for each group of values of a column that look the same."""
    for column in columns:
        values = {item.attributes.get(column, NO_VALUE) for item in dataset.utterances}
        alike: dict[str, list[str]] = defaultdict(list)
        for value in sorted(values):
            alike[appearance(value)].append(value)
        for group in alike.values():
            if len(group) > 1:
                yield (
                    f"{column}: {' and '.join(map(_spelled, group))} differ only in case, white "
                    "space or letters that look alike: they are slices of their own"
                )


def _spelled(value: str) -> str:
    """Return a value with the numbers of the characters that are not plain ASCII."""
    numbers = [f"U+{ord(c):04X}" for c in value if not ("!" <= c <= "~" or c == " ")]
    return f'"{shown(value, 40)}"' + (f" ({', '.join(numbers[:4])})" if numbers else "")
