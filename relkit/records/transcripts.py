"""A transcript file as it was read, whatever its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relkit.domain.errors import InvalidInput
from relkit.records.yaml_text import shown, where
from relkit.rules.word_networks import Phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcripts:
    """The n utterances of a file, in its order.

    ``texts`` holds None where a system answered with an error. ``phrases`` holds, by row, the
    utterances with alternatives or marked words; their text is what stands in the file. ``written``
    are the texts before any change of case, where that makes a difference. ``lines`` are the lines
    of the rows, and ``source`` is the file's name, for messages.
    """

    source: str
    ids: Sequence[str]
    texts: Sequence[str | None]
    lines: Sequence[int]
    phrases: Mapping[int, Phrase] = field(default_factory=dict)
    written: Sequence[str | None] | None = None

    def __post_init__(self) -> None:
        """Refuse an empty file and an id that stands twice; raises InvalidInput."""
        if not self.ids:
            raise InvalidInput(f"{self.source}: holds no utterance")
        if len(set(self.ids)) != len(self.ids):
            self._refuse_duplicate()

    def _refuse_duplicate(self) -> None:
        seen: dict[str, int] = {}
        for name, line in zip(self.ids, self.lines, strict=True):
            if name in seen:
                raise InvalidInput(
                    f'{where(self.source, line)}: the id "{shown(name)}" stands already in line '
                    f"{seen[name]}",
                    hint="give every utterance an id of its own",
                )
            seen[name] = line

    def as_written(self) -> Sequence[str | None]:
        """Return the texts as they stand in the file."""
        return self.texts if self.written is None else self.written


def check_same_length(expected: Transcripts, given: Transcripts) -> None:
    """Refuse files with different numbers of lines; raises InvalidInput."""
    if len(expected.ids) != len(given.ids):
        raise InvalidInput(
            f"{expected.source} has {len(expected.ids)} lines, {given.source} has {len(given.ids)}",
            hint="line i is scored against line i; use a format with ids where some are missing",
        )


def matching_rows(expected: Transcripts, given: Transcripts) -> Sequence[int | None]:
    """Return the row in ``given`` for each row of ``expected``, None where there is none.

    Raises InvalidInput for an id that is not expected.
    """
    if expected.ids == given.ids:
        return range(len(given.ids))
    rows = {name: row for row, name in enumerate(given.ids)}
    order = [rows.get(name) for name in expected.ids]
    if len(order) - order.count(None) != len(rows):
        known = frozenset(expected.ids)
        row = next(row for row, name in enumerate(given.ids) if name not in known)
        raise InvalidInput(
            f'{where(given.source, given.lines[row])}: the id "{shown(given.ids[row])}" is not in '
            f"{expected.source}",
            hint="score only what has a reference, or add the reference",
        )
    return order


def refuse_empty(text: str, source: str) -> None:
    """Refuse a file without anything in it; raises InvalidInput."""
    if not text or text.isspace():
        raise InvalidInput(f"{source}: is empty", hint="it needs at least one utterance")
