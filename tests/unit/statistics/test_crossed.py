"""Clustering by speaker and prompt, against the definition and its laws."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.arrays import FloatArray, IntArray
from relkit.statistics.crossed import hides_texts, leaves_texts, rate_spread, shared_cells, two_way
from relkit.statistics.differences import rate_differences
from relkit.statistics.families import family_of, run_flips, test_regressions
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.replays import (
    ReplayedFamily,
    exchanges,
    prompt_exchanges,
    replay_null,
    replayed_pairs,
)
from relkit.statistics.types import ClusterSums, PairedSums, PromptSums

WER = RATE_METRICS["wer"]
Cells = dict[tuple[int, int], tuple[float, float]]


def sums_of(cells: Cells, *, shared: bool = True, slices: int = 1) -> ClusterSums:
    """Return sums of (speaker, prompt) -> (errors, words), the same in each of the slices."""
    speakers = sorted({speaker for speaker, _ in cells})
    keys = sorted(cells)

    def columns(rows: list[tuple[float, float]]) -> dict[str, FloatArray]:
        errors, words = (np.array([row[i] for row in rows] * slices, dtype=float) for i in (0, 1))
        return {"errors": errors, "words": words, "with_words": (words > 0).astype(float)}

    def numbers(each: list[int]) -> tuple[IntArray, IntArray]:
        return np.repeat(np.arange(slices), len(each)), np.tile(np.array(each), slices)

    by_speaker = [
        (sum(e for (s, _), (e, _) in cells.items() if s == speaker),
         sum(w for (s, _), (_, w) in cells.items() if s == speaker))
        for speaker in speakers
    ]  # fmt: skip
    slice_index, cluster_index = numbers(speakers)
    cell_slice, cell_cluster = numbers([speaker for speaker, _ in keys])
    return ClusterSums(
        slices=("overall", *(f"noise={i}" for i in range(1, slices))),
        slice_index=slice_index,
        cluster_index=cluster_index,
        columns=columns(by_speaker),
        by_prompt=PromptSums(
            slice_index=cell_slice,
            cluster_index=cell_cluster,
            prompt_index=numbers([prompt for _, prompt in keys])[1],
            columns=columns([cells[key] for key in keys]),
        )
        if shared
        else None,
    )


def random_cells(seed: int, *, speakers: int = 8, prompts: int = 6, effect: float = 0.0) -> Cells:
    """Return errors and words of each speaker and prompt; ``effect`` is the sd of the log rate."""
    draw = np.random.default_rng(seed)
    rate = 0.1 * np.exp(effect * draw.standard_normal(prompts))
    return {
        (s, p): (float(draw.binomial(20, min(1.0, rate[p]))), 20.0)
        for s, p in product(range(speakers), range(prompts))
    }


@pytest.mark.parametrize("seed", range(5))
def test_what_prompts_add_is_the_sum_over_pairs_of_speakers(seed: int) -> None:
    """V_prompts - V_cells counts the products of two speakers' errors in one prompt."""
    cells = random_cells(seed, effect=1.0)
    errors, words = (sum(value[i] for value in cells.values()) for i in (0, 1))
    u = {key: (e - errors / words * w) / words for key, (e, w) in cells.items()}
    prompts = [sum(u[s, p] for s in range(8)) for p in range(6)]
    pairs = sum(u[s, p] * u[t, p] for p in range(6) for s in range(8) for t in range(8) if s != t)
    squares = sum(value**2 for value in prompts)
    spread = rate_spread(WER, (sums_of(cells),))
    assert spread is not None
    assert spread.variance[0] == pytest.approx(6 / 5 * squares)
    assert spread.added[0] == pytest.approx(max(0.0, pairs + squares / 5))
    df = squares**2 / sum(value**4 for value in prompts)
    assert spread.df[0] == pytest.approx(min(5.0, max(1.5, df)))


def test_a_prompt_of_one_speaker_adds_nothing() -> None:
    """What nobody else read cannot make errors go together over speakers."""
    cells = random_cells(1)
    alone = {(s, 10 * s + p): value for (s, p), value in cells.items()}
    spread = rate_spread(WER, (sums_of(alone),))
    assert spread is not None
    assert spread.added.tolist() == [0.0]
    assert spread.variance.tolist() == [0.0]
    plain, twofold = (RateEvidence(sums=sums_of(alone, shared=shared)) for shared in (False, True))
    assert estimate_rates(WER, plain) == estimate_rates(WER, twofold)


def test_prompts_without_a_unit_are_no_prompts() -> None:
    """A cell that has nothing to count is left out, and so is a prompt with one that has."""
    cells = random_cells(2) | {(0, 9): (0.0, 3.0), (1, 9): (0.0, 0.0)}
    sums = sums_of(cells)
    assert sums.by_prompt is not None
    shared = shared_cells(sums.by_prompt, sums.by_prompt.columns["words"] > 0)
    assert sorted(set(shared.prompts.tolist())) == list(range(6))
    assert shared.slice.tolist() == [0] * 6


@given(st.integers(0, 10_000), st.integers(5, 9), st.integers(2, 8), st.floats(0, 1.5))
def test_two_ways_are_never_narrower_than_one(
    seed: int, speakers: int, prompts: int, effect: float
) -> None:
    """Prompts make intervals of values and of differences wider, or leave them as they are."""
    systems = [
        random_cells(seed + i, speakers=speakers, prompts=prompts, effect=effect) for i in (0, 1)
    ]
    plain, twofold = (
        [sums_of(cells, shared=shared, slices=2) for cells in systems] for shared in (False, True)
    )
    values = [estimate_rates(WER, RateEvidence(sums=sides[0])) for sides in (plain, twofold)]
    paired = [
        rate_differences(WER, PairedSums(candidate=a, baseline=b, clusters=speakers))
        for a, b in (plain, twofold)
    ]
    for results in (values, paired):
        for before, after in zip(*results, strict=True):
            assert (before.low is None) == (after.low is None)
            if before.low is not None and before.high is not None:
                assert after.low is not None
                assert after.high is not None
                assert after.low <= before.low + 1e-12
                assert after.high >= before.high - 1e-12


def test_a_slice_without_shared_prompts_is_as_it_was() -> None:
    """Prompts that are shared elsewhere change nothing in a slice that has none of them."""
    sums = sums_of(random_cells(3, effect=1.0), slices=2)
    assert sums.by_prompt is not None
    inside = sums.by_prompt.slice_index == 0
    cells = PromptSums(
        slice_index=sums.by_prompt.slice_index[inside],
        cluster_index=sums.by_prompt.cluster_index[inside],
        prompt_index=sums.by_prompt.prompt_index[inside],
        columns={name: column[inside] for name, column in sums.by_prompt.columns.items()},
    )
    crossed, part = estimate_rates(WER, RateEvidence(sums=replace(sums, by_prompt=cells)))
    plain = estimate_rates(WER, RateEvidence(sums=replace(sums, by_prompt=None)))
    assert part == plain[1]
    assert crossed.high is not None
    assert plain[0].high is not None
    assert crossed.high > 1.2 * plain[0].high


def test_a_prompt_that_misleads_one_system_is_no_certain_difference() -> None:
    """Errors that all speakers make in one prompt are one observation of a prompt."""
    cells = random_cells(4, speakers=20, prompts=6)
    worse = {(s, p): (e + 6.0 * (p == 0), w) for (s, p), (e, w) in cells.items()}
    plain, twofold = (
        rate_differences(
            WER,
            PairedSums(
                candidate=sums_of(worse, shared=shared),
                baseline=sums_of(cells, shared=shared),
                clusters=20,
            ),
        )[0]
        for shared in (False, True)
    )
    assert plain.low == plain.worsening == pytest.approx(0.05)
    assert twofold.low is not None
    assert twofold.low < 0


def test_without_prompts_nothing_is_computed() -> None:
    """Sums of clusters alone have no spread of prompts, and theirs is as it is."""
    assert rate_spread(WER, (sums_of(random_cells(5), shared=False),)) is None
    se, df = np.array([0.1]), np.array([7.0])
    assert two_way(se, df, None) == (se, df)


@pytest.mark.parametrize("name", ["wil", "mer", "wer", "ser"])
def test_slopes_are_derivatives(name: str) -> None:
    """A metric moves along its slopes as it does by small steps."""
    metric = RATE_METRICS[name]
    totals = {c: np.array([40.0 + 7 * i]) for i, c in enumerate(metric.columns)}
    for column, slope in metric.slopes(totals).items():
        up, down = (
            metric.function(totals | {column: totals[column] + step}) for step in (1e-4, -1e-4)
        )
        assert slope == pytest.approx((up - down) / 2e-4, rel=1e-6)
    nothing = {c: np.zeros(1) for c in metric.columns}
    assert [s.tolist() for s in metric.slopes(nothing).values()] == [[0.0]] * len(metric.columns)


def pairs_of(*, shared: bool = True, effect: float = 1.0) -> PairedSums:
    """Return two systems over 12 speakers and 10 prompts, equal but for what prompts do to each."""
    sides = [
        sums_of(random_cells(20 + i, speakers=12, prompts=10, effect=effect), shared=shared)
        for i in (0, 1)
    ]
    return PairedSums(candidate=sides[0], baseline=sides[1], clusters=12)


def test_a_replay_by_prompts_keeps_what_belongs_together() -> None:
    """Cells add up to their clusters however they are exchanged, and nothing is lost."""
    pairs = pairs_of()
    signs = exchanges(12, "s", 8)
    prompts = prompt_exchanges({"wer": pairs}, "s", 8)
    assert (prompts != 0).all(axis=1).tolist() == [False, False, True, True] * 2
    replayed = replayed_pairs(pairs, "overall", signs, prompts)
    for side in (replayed.candidate, replayed.baseline):
        cells = side.by_prompt
        assert cells is not None
        number = cells.slice_index * 12 + cells.cluster_index
        for name in ("errors", "words"):
            column = side.columns[name]
            assert np.bincount(number, cells.columns[name]).tolist() == column.tolist()
    for name, column in replayed.candidate.columns.items():
        both = pairs.candidate.columns[name] + pairs.baseline.columns[name]
        assert (column + replayed.baseline.columns[name]).tolist() == np.tile(both, 8).tolist()
    one = prompts[2] < 0
    cells, base = pairs.candidate.by_prompt, pairs.baseline.by_prompt
    assert cells is not None
    assert base is not None
    errors = np.where(one[cells.prompt_index], base.columns["errors"], cells.columns["errors"])
    assert replayed.candidate.columns["errors"][24:36].sum() == errors.sum()


def test_equal_systems_are_seldom_blocked_however_prompts_fall() -> None:
    """By clusters alone a family is blocked in every other exchange of prompts, by both seldom."""
    family = ReplayedFamily(metric="wer", slices=("overall",))
    pairs = pairs_of()
    replay = replay_null({"wer": pairs}, [family], seed="x")
    assert replay.method.endswith("the prompts that they share")
    assert (replay.false_block_rate or 0.0) <= 0.08
    prompts = prompt_exchanges({"wer": pairs}, "x", 400)
    narrow = family_of(WER, pairs, family.slices, family.slices)
    blind = run_flips(replace(narrow, prompts=np.zeros(1)), "x")
    assert narrow.cells is not None
    turned = prompts[:, narrow.cells.prompt_index] * narrow.cells.columns["difference"]
    by_prompt = turned.sum(axis=1)[prompts[:, 0] != 0] / np.sqrt(narrow.denominator)
    assert (by_prompt > blind.critical).mean() > 0.15


def test_a_family_reads_prompts_as_it_reads_clusters() -> None:
    """What one prompt does to one system is no regression, and what all prompts show still is."""
    seed, words = "s", 20.0
    cells = random_cells(30, speakers=12, prompts=10)
    one_prompt = {(s, p): (min(words, e + 8.0 * (p == 0)), w) for (s, p), (e, w) in cells.items()}
    doubled = {key: (2.0 * e, w) for key, (e, w) in cells.items()}
    p_values = {}
    for name, worse in (("one", one_prompt), ("all", doubled)):
        for shared in (False, True):
            pairs = PairedSums(
                candidate=sums_of(worse, shared=shared),
                baseline=sums_of(cells, shared=shared),
                clusters=12,
            )
            tested = test_regressions(WER, pairs, ("overall",), seed=seed, detectable=2.0)
            p_values[name, shared] = tested[0].p_adjusted
    assert p_values["one", False] == pytest.approx(2**-12)
    assert (p_values["one", True] or 0.0) > 0.05
    assert (p_values["all", True] or 1.0) < 0.01


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (lambda speaker, text: f"{speaker}-{text}", True),
        (lambda _speaker, _text: "all", True),
        (lambda _speaker, _text: "", True),
        (lambda _speaker, text: f"prompt {text}", False),
        (lambda _speaker, text: f"prompt {text % 6}", False),
    ],
)
def test_a_column_of_prompts_cannot_hide_texts_that_are_shared(
    value: Callable[[int, int], str], *, hidden: bool
) -> None:
    """A value for each recording, or one for all, would say that no text is read twice."""
    rows = [(f"s{s}", value(s, t), f"text {t}") for s in range(6) for t in range(8)]
    assert hides_texts(rows) == hidden
    apart = [(f"s{s}", value(s, t), f"text {t} of {s}") for s in range(6) for t in range(8)]
    assert not hides_texts(apart)


def test_a_column_that_does_not_stand_for_shared_texts_is_seen() -> None:
    """Microphones cross the texts that all read; topics, of which each text has one, do not."""
    read = [(f"s{s}", t) for s in range(6) for t in range(6)]
    assert leaves_texts((s, f"mic{(len(s) + t + int(s[1])) % 3}", f"text {t}") for s, t in read)
    assert not leaves_texts((s, f"topic {t % 3}", f"text {t}") for s, t in read)
    assert not leaves_texts((s, f"mic{t % 3}", f"{s} says {t}") for s, t in read)
    assert not leaves_texts(())
