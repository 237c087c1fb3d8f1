"""Which slices a rule is judged in, and which of them have to be there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relkit.domain.slices import SliceSpec
from relkit.domain.utterances import NO_VALUE
from relkit.rules.slice_patterns import columns_of, is_pattern, matches

Registered = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSlices:
    """The slices of a rule: those required and ``found``, those ``vanished``, and ``new`` ones."""

    found: tuple[str, ...]
    vanished: tuple[str, ...]
    new: tuple[str, ...]


def rule_slices(
    pattern: str,
    known: Iterable[str],
    registered: Registered | None,
    before: Iterable[str] = (),
) -> RuleSlices:
    """Return what a rule's slice means among the ``known`` slices of a candidate.

    What has to be there is what the dataset's lock promises (``registered``); where it does not
    say, what the baseline has (``before``); without either, what the candidate has. A slice of
    missing labels, ``(none)``, is never required of a pattern that asks for all values.
    """
    matching = [key for key in known if matches(pattern, key)]
    promised = _promised(pattern, registered)
    if promised is None:
        earlier = [key for key in before if matches(pattern, key) and not _unlabelled(key)]
        promised = tuple(earlier or (key for key in matching if not _unlabelled(key)))
    wanted = set(promised)
    return RuleSlices(
        found=tuple(key for key in matching if key in wanted),
        vanished=tuple(key for key in promised if key not in matching),
        new=tuple(key for key in matching if key not in wanted and not _unlabelled(key)),
    )


def _promised(pattern: str, registered: Registered | None) -> tuple[str, ...] | None:
    """Return the keys that have to be there, None where the dataset does not say.

    Which values of two columns occur together, a lock does not say.
    """
    if not is_pattern(pattern):
        return (pattern,)
    columns = columns_of(pattern)
    if registered is None or len(columns) > 1 or columns[0] not in registered:
        return None
    spec = SliceSpec(columns=columns)
    return tuple(spec.key([value]) for value in registered[columns[0]] if value != NO_VALUE)


def _unlabelled(key: str) -> bool:
    return any(part.endswith(f"={NO_VALUE}") for part in key.split("&"))
