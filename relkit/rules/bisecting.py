"""First bad release from tests of single releases: the semantics of ``git bisect``.

Versions are in one order, oldest first, and turn from good to bad once. Without skips the tested
versions are those that git tests. With skips git jumps away by a pseudo-random number; here the
jump is the same each time, and never costs a step more than the skip itself: a history of n
versions after the good one takes at most ceil(log2 n) steps and one for each skip.
"""

from collections.abc import Mapping, Sequence

from relkit.domain.bisections import Mark, Narrowed

SKIP_CODE = 125
NOT_RUN = (126, 127)
"""What a shell says of a program it could not run; git takes it as bad, once a good one is not."""

_LAST_BAD = 127


def mark_of(exit_code: int) -> Mark | None:
    """Return what an exit code says as ``git bisect run`` reads it, None to abort.

    0 is good, 125 skip, everything else to 127 bad; from 128 on, and below 0 (killed by a signal,
    as Python counts), the command itself came to grief, and nothing follows.
    """
    if exit_code == 0:
        return Mark.GOOD
    if exit_code == SKIP_CODE:
        return Mark.SKIP
    return Mark.BAD if 0 < exit_code <= _LAST_BAD else None


def narrow(versions: Sequence[str], marks: Mapping[str, Mark]) -> Narrowed:
    """Return what follows from marks of versions (oldest first), and the next one to test.

    A bad version before a good one is a contradiction and ends the search: it is never resolved by
    believing one of them. Only skipped versions left: they and the first bad one are a set.
    """
    good = [i for i, version in enumerate(versions) if marks.get(version) is Mark.GOOD]
    bad = [i for i, version in enumerate(versions) if marks.get(version) is Mark.BAD]
    if not good or not bad:
        return _one_sided(versions, bad=bool(bad))
    last_good, first_bad = good[-1], bad[0]
    if last_good > first_bad:
        return Narrowed(
            status="contradiction",
            bad_before=tuple(versions[i] for i in bad if i < last_good),
            good_after=tuple(versions[i] for i in good if i > first_bad),
        )
    inside = range(last_good + 1, first_bad)
    candidates = tuple(versions[last_good + 1 : first_bad + 1])
    skipped = [i for i in inside if marks.get(versions[i]) is Mark.SKIP]
    untested = [i for i in inside if versions[i] not in marks]
    if untested:
        chosen = versions[_choose(last_good, first_bad, untested, skipped)]
        return Narrowed(status="open", candidates=candidates, next=chosen)
    return Narrowed(status="set" if skipped else "found", candidates=candidates)


def _one_sided(versions: Sequence[str], *, bad: bool) -> Narrowed:
    return Narrowed(
        status="no_good" if bad else "no_bad", candidates=tuple(versions) if bad else ()
    )


def _choose(last_good: int, first_bad: int, untested: Sequence[int], skipped: list[int]) -> int:
    """Return which of the untested positions to test, both ends excluded.

    Without skips git's: the older of the two middles, of three candidates the second. With skips:
    of those that leave no more than the steps allow, whatever the answer, the one farthest from
    any skipped version (what breaks one build breaks its neighbours), then nearest to the middle.
    """
    count = first_bad - last_good
    middle = last_good + (2 if count == 3 else count // 2)  # noqa: PLR2004  # git's one exception
    if not skipped:
        return middle
    left = len(untested)
    most = (1 << (left.bit_length() - 1)) - 1  # what one step fewer can still tell apart
    allowed = [i for n, i in enumerate(untested) if max(n, left - 1 - n) <= most]

    def distance(position: int) -> tuple[int, int, int]:
        away = min(abs(position - other) for other in skipped)
        return -away, abs(position - middle), position

    return min(allowed, key=distance)
