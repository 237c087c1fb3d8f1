"""The attacks, each against the rule it broke and against the present one, and their table."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.disclosure_attacks.counts import (
    REFUSED,
    Outcome,
    RateText,
    at_tenths,
    complements,
    on_grid,
    plain_ends,
    solve,
    subtract,
    turns_told,
)
from benchmarks.disclosure_attacks.documents import (
    CROSSED,
    CROSSED_NEXT,
    PERCENTILES,
    Case,
    K,
    case_of,
    issued,
    packet_of,
    present,
)
from benchmarks.disclosure_attacks.names import (
    Guess,
    by_dictionary,
    by_rank,
    extra_numbers,
    linked,
    numbers_in,
    open_digest,
)
from benchmarks.disclosure_attacks.people import dominated, tail_told
from benchmarks.disclosure_attacks.populations import ALWAYS_MEASURED, alone, cells_of, in_cell
from benchmarks.disclosure_attacks.reading import cell_of, read
from benchmarks.disclosure_attacks.replaced import (
    STEP,
    plain_digest,
    plain_page,
    plain_percentile,
    plain_pseudonym,
    ranks,
    spread,
)
from relkit.adapters.html import PacketPages
from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.disclosure.names import IncidentPseudonyms, SharedNames
from relkit.disclosure.types import HourSpan, ShownRate
from relkit.gate.evidence import cluster_order
from relkit.incident.packets.build import opened
from relkit.incident.packets.types import IssuedPacket
from relkit.incident.packets.windows import check_chain
from relkit.incident.received.run import commitment_of

Windows = tuple[tuple[int, int], ...]

GROWING: Windows = ((0, 4), (0, 5), (0, 6))
SLIDING: Windows = ((0, 4), (1, 5), (2, 6))
CHAIN: Windows = ((0, 2), (2, 4), (4, 6))
METRIC = "latency_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack, the rule it broke, and how it fares against that and the present one."""

    key: str
    name: str
    replaced: str
    before: Callable[[Case], Outcome]
    after: Callable[[Case], Outcome]


def _subtract_after(case: Case) -> Outcome:
    reading = case.reading()
    return REFUSED if reading is None else subtract(reading, case.values, K)


def _solve_after(case: Case) -> Outcome:
    reading = case.reading()
    return (
        REFUSED
        if reading is None
        else solve([reading], case.values, case.cells(CROSSED), K, case.exact)
    )


def _again_before(case: Case) -> Outcome:
    readings = [case.rounded(), case.rounded(crossed=CROSSED_NEXT)]
    return solve(readings, case.values, case.cells(CROSSED, CROSSED_NEXT), K, case.exact)


def _again_after(case: Case) -> Outcome:
    first = case.shown()
    if first is None:
        return REFUSED
    second = present(case.turns, CROSSED_NEXT, earlier=first)
    if second is None:
        return REFUSED
    readings = [read(first), read(second)]
    return solve(readings, case.values, case.cells(CROSSED, CROSSED_NEXT), K, case.exact)


def _windows_before(windows: Windows) -> Callable[[Case], Outcome]:
    return lambda case: solve(
        case.rounded_windows(windows), case.values, case.cells(), K, case.exact
    )


def _chain_after(case: Case) -> Outcome:
    return solve(case.banded_windows(CHAIN), case.values, case.cells(), K, case.exact)


def overlapping(windows: Windows) -> int:
    """Return how many of some windows relkit refuses, since they overlap one before."""
    out: list[IssuedPacket] = []
    for first, last in windows:
        begin, end = (f"2026-11-29T{hour:02}:00:00Z" for hour in (first, last))
        span = HourSpan(from_=begin, to=end)
        try:
            check_chain(span, "INC-1", out, ())
        except InvalidInput:
            continue
        out.append(issued(span))
    return len(windows) - len(out)


def _overlapping_after(windows: Windows) -> Callable[[Case], Outcome]:
    return lambda _: Outcome(refused=overlapping(windows))


def _n_before(case: Case) -> Outcome:
    turns = alone(case.turns)
    outcome = Outcome()
    for cell in cells_of(turns, CROSSED):
        used = in_cell(turns, cell)
        n = int(used.sum())
        for name in ALWAYS_MEASURED:
            events = int((turns.flags[name][used] == 1).sum())
            if n < K or not 1 < events < n - 1:
                continue
            counts = np.array([events]), np.array([n])
            value, low, high = at_tenths(counts[0] / counts[1], *plain_ends(*counts))[:, 0]
            text = RateText(float(value), float(low), float(high), spread(n, 5))
            outcome += Outcome(1, int(len(turns_told(text, at_tenths, STEP)) == 1))
    return outcome


def _n_after(case: Case) -> Outcome:
    shown = present(alone(case.turns), None)
    if shown is None:
        return REFUSED
    outcome = Outcome()
    for cell in shown.cells:
        for name, metric in cell.metrics.items():
            if isinstance(metric, ShownRate) and name in ALWAYS_MEASURED:
                band = (float(cell.utterances[0]), float(cell.utterances[1]))
                text = RateText(metric.value, metric.low, metric.high, band)
                outcome += Outcome(1, int(len(turns_told(text, on_grid, metric.step)) == 1))
    return outcome


def _tails_before(case: Case) -> Outcome:
    outcome = Outcome()
    for cell in cells_of(case.turns, None):
        values = case.turns.quantities[METRIC][in_cell(case.turns, cell)]
        if len(values) >= K:
            ends = [(plain_percentile(values, p), True) for p in PERCENTILES]
            outcome += tail_told(case.turns, cell, METRIC, ends, 1.0)
    return outcome


def _tails_after(case: Case) -> Outcome:
    shown = case.shown()
    if shown is None:
        return REFUSED
    outcome = Outcome()
    for item in shown.percentiles:
        cell = cell_of(item.slice)
        ends = [(item.low, False), (item.value, True), (item.high, True)]
        printed = [(value, above) for value, above in ends if value is not None]
        if all(value != "(other)" for _, value in cell):
            outcome += tail_told(case.turns, cell, item.metric, printed, 1.05)
    return outcome


def _dominated_before(case: Case) -> Outcome:
    outcome = Outcome()
    for (name, cell), rate in case.rounded().rates.items():
        outcome += Outcome(1, int(dominated(case.turns, cell, name, rate)))
    return outcome


def _dominated_after(case: Case) -> Outcome:
    reading = case.reading()
    if reading is None:
        return REFUSED
    outcome = Outcome()
    for (name, cell), rate in reading.rates.items():
        if all(value != "(other)" for _, value in cell):
            outcome += Outcome(1, int(dominated(case.turns, cell, name, rate)))
    return outcome


def _complements_after(case: Case) -> Outcome:
    reading = case.reading()
    return REFUSED if reading is None else complements(reading, K)


def _table(case: Case) -> tuple[dict[str, int], dict[str, int | None]]:
    """Return a table with three hidden cells, and what of it is known."""
    counts = case.rng().integers(0, 300, 8)
    counts[:3] %= K
    table = {f"cell{i}": int(count) for i, count in enumerate(counts)}
    return table, {name: None if i < 3 else count for i, (name, count) in enumerate(table.items())}


def _commitment(table: Mapping[str, int], opening: bytes) -> str:
    """Return what a packet holds of a table, as an auditor works it out from the opening."""
    return commitment_of(opening.hex(), "sha256:" + plain_digest(table))


def _digest_before(case: Case) -> Outcome:
    table, public = _table(case)
    guessed, _ = open_digest(plain_digest(table), public, [plain_digest], K)
    return Outcome(1, int(guessed == table))


def _digest_after(case: Case) -> Outcome:
    table, public = _table(case)
    (opening,) = opened(
        [("telemetry", "table", "sha256:" + plain_digest(table))], [], lambda: case.rng().bytes(32)
    )
    likely = (b"", bytes(32), b"\xff" * 32, case.seed.to_bytes(32, "big"))
    guesses: list[Guess] = [plain_digest]
    guesses += [partial(_commitment, opening=opening) for opening in likely]
    guessed, _ = open_digest(opening.commitment.sha256, public, guesses, K)
    return Outcome(1, int(guessed == table))


def _page_before(case: Case) -> Outcome:
    shown = case.rounded()
    held = [end for ends in (*shown.people.values(), *shown.turns.values()) for end in ends]
    file = json.dumps([*map(int, held), *shown.rates.values()])
    page = plain_page(case.turns, CROSSED, K)
    return Outcome(len(numbers_in(page)), len(extra_numbers(page, file)))


def _page_after(case: Case) -> Outcome:
    shown = case.shown()
    if shown is None:
        return REFUSED
    packet = packet_of(shown)
    page = PacketPages().html(packet)
    return Outcome(len(numbers_in(page)), len(extra_numbers(page, json.dumps(encode(packet)))))


_COMPANIES = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "wonka")
_PLACES = ("eu", "us", "uk", "de", "fr", "jp", "in", "br", "au", "za", "ca", "mx")
TENANTS = tuple(f"{name}-{place}" for name in _COMPANIES for place in _PLACES)
"""A list of likely names, as everybody has one of a vendor's customers."""


def _tenants(case: Case) -> list[str]:
    return [str(name) for name in case.rng().choice(TENANTS, 12, replace=False)]


def _pseudonyms(case: Case, incident: int) -> dict[str, str]:
    key = np.random.default_rng([case.seed, incident]).bytes(32)
    names = SharedNames({}, IncidentPseudonyms(key))
    return {names.value("tenant", name): name for name in _tenants(case)}


def _dictionary_before(case: Case) -> Outcome:
    shown = {plain_pseudonym("tenant", name): name for name in _tenants(case)}
    return by_dictionary(shown, TENANTS, [lambda name: plain_pseudonym("tenant", name)])


def _keyed(key: bytes) -> Callable[[str], str]:
    return lambda name: SharedNames({}, IncidentPseudonyms(key)).value("tenant", name)


def _dictionary_after(case: Case) -> Outcome:
    likely = (b"", bytes(32), b"relkit", b"tenant", b"INC-1")
    guesses: list[Callable[[str], str]] = [lambda name: plain_pseudonym("tenant", name)]
    guesses += [_keyed(key) for key in likely]
    return by_dictionary(_pseudonyms(case, 1), TENANTS, guesses)


def _linked_before(case: Case) -> Outcome:
    shown = {plain_pseudonym("tenant", name): name for name in _tenants(case)}
    return linked(shown, shown)


def _linked_after(case: Case) -> Outcome:
    return linked(_pseudonyms(case, 1), _pseudonyms(case, 2))


def _speakers(case: Case) -> list[str]:
    return [f"speaker{number:04d}" for number in case.rng().choice(9999, 40, replace=False)]


def _order_after(case: Case) -> Outcome:
    names = _speakers(case)
    order = cluster_order(case.rng().bytes(32), ["sha256:a", "sha256:b"])
    keyed = {name: number for number, name in enumerate(sorted(names, key=order))}
    return by_rank(keyed)


FEWER = "fewer than 10 people left out, counts rounded to 5, rates at 0.1 point"

ATTACKS: tuple[Attack, ...] = (
    Attack(
        key="subtraction",
        name="the window less what is shown",
        replaced=FEWER,
        before=lambda case: subtract(case.rounded(), case.values, K),
        after=_subtract_after,
    ),
    Attack(
        key="program",
        name="linear program, one document with a crossing",
        replaced=FEWER,
        before=lambda case: solve(
            [case.rounded()], case.values, case.cells(CROSSED), K, case.exact
        ),
        after=_solve_after,
    ),
    Attack(
        key="again",
        name="linear program, the same window with another crossing",
        replaced=FEWER,
        before=_again_before,
        after=_again_after,
    ),
    Attack(
        key="chain",
        name="linear program, a chain of windows and their sum",
        replaced=FEWER,
        before=_windows_before((*CHAIN, (0, 6))),
        after=_chain_after,
    ),
    Attack(
        key="growing",
        name="growing windows",
        replaced=FEWER,
        before=_windows_before(GROWING),
        after=_overlapping_after(GROWING),
    ),
    Attack(
        key="sliding",
        name="sliding windows",
        replaced=FEWER,
        before=_windows_before(SLIDING),
        after=_overlapping_after(SLIDING),
    ),
    Attack(
        key="turns",
        name="n from a rate and its ends",
        replaced="rates and ends at 0.1 point, n rounded to 5",
        before=_n_before,
        after=_n_after,
    ),
    Attack(
        key="percentiles",
        name="who is beyond a percentile",
        replaced="percentiles of every slice of 10 turns",
        before=_tails_before,
        after=_tails_after,
    ),
    Attack(
        key="dominance",
        name="the second largest tells the largest's events",
        replaced="rates at 0.1 point of slices of 10 people",
        before=_dominated_before,
        after=_dominated_after,
    ),
    Attack(
        key="complements",
        name="all but fewer than 10",
        replaced="only few events left out",
        before=lambda case: complements(case.rounded(), K),
        after=_complements_after,
    ),
    Attack(
        key="page",
        name="numbers of the page that the file does not hold",
        replaced="a page drawn from the data",
        before=_page_before,
        after=_page_after,
    ),
    Attack(
        key="digests",
        name="digest of a table with three hidden cells",
        replaced="SHA-256",
        before=_digest_before,
        after=_digest_after,
    ),
    Attack(
        key="pseudonyms",
        name="pseudonyms by dictionary",
        replaced="SHA-256, four digits",
        before=_dictionary_before,
        after=_dictionary_after,
    ),
    Attack(
        key="linked",
        name="who was in both of two incidents",
        replaced="SHA-256, four digits",
        before=_linked_before,
        after=_linked_after,
    ),
    Attack(
        key="clusters",
        name="speaker's name by the number of the cluster",
        replaced="rank of the name",
        before=lambda case: by_rank(ranks(_speakers(case))),
        after=_order_after,
    ),
)
"""In the order of the table."""

HEAD = (
    "| attack | against the rule it broke | succeeded | against relkit | refused |\n"
    "|---|---|---|---|---|"
)


def outcomes(attack: Attack, before: int, after: int) -> tuple[Outcome, Outcome]:
    """Return how an attack fares over some populations of each rule."""
    totals = []
    for count, run in ((before, attack.before), (after, attack.after)):
        total = Outcome()
        for seed in range(count):
            total += run(case_of(seed))
        totals.append(total)
    return totals[0], totals[1]


def rows(attacks: Iterable[Attack], *, before: int, after: int) -> Iterator[str]:
    """Yield the rows of the table, successes of tries."""
    yield HEAD
    for attack in attacks:
        old, new = outcomes(attack, before, after)
        succeeded, held = (f"{o.successes:,} of {o.tries:,}" for o in (old, new))
        yield f"| {attack.name} | {attack.replaced} | {succeeded} | {held} | {new.refused:,} |"
