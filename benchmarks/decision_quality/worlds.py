"""Simulated runs of which the truth is known: two systems over the same utterances."""

from dataclasses import dataclass, replace

import numpy as np

from relkit.core.arrays import FloatArray, IntArray
from relkit.core.slices import OVERALL
from relkit.statistics.families import EXCUSED
from relkit.statistics.intervals import group_sum
from relkit.statistics.types import ClusterSums, PairedSums, PromptSums

SHORTEST, LONGEST = 4, 14
MEAN_WORDS = (SHORTEST + LONGEST) / 2
RATE = 0.08
HEAVY, LOST, TAIL, REACTION = 30.0, 0.2, 1.5, 2.35
TAIL_SCALE = 1.464
"""Heavy tails are cut at a rate of 0.6: so many times the rate leaves its mean at 8 %."""

NOISES = ("babble", "clean", "pink", "street")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Data and systems: ``speakers`` and ``utterances`` of each per slice.

    ``crossed``: the same speakers are in all slices. ``unequal`` is the sd of the log amount of a
    speaker, ``sizes`` that of a slice; ``loops`` and ``failing`` (of the baseline) are shares of
    utterances, ``uneven`` the sd of the log rate between slices. ``spread`` is the sd of speakers'
    rates over their mean, ``taste`` that of the log of what a speaker means to one system only.
    ``bursts`` is the share of speakers of whom a system loses a fifth of the utterances. ``heavy``
    speakers, the first ones, say 30 times as much. ``prompts``: so many texts are read by all in
    turn, 0 where none is read twice. They differ in difficulty as utterances do elsewhere, and in
    how many errors each system has to itself: ``by_prompt`` is the sd of the log of that, the same
    for all who read. Each utterance is asked ``repeats`` times, and ``unsteady`` is the chance that
    a system's own errors are drawn anew for another repeat; loops and failures come back.
    ``zipf``: amounts of slices go by 1 / rank, the same on average. ``tails``: speakers' rates are
    log-normal with sd 1, utterances' with sd 1.5. ``react`` is the share of speakers to whom the
    candidate is 2.35 times as bad, being better to the others, so that it is equal on the whole.
    ``few`` is the share of the speakers of slice 0 who bring what makes its rate higher, 0: all.
    """

    name: str
    slices: int = 50
    speakers: int = 10
    utterances: int = 20
    crossed: bool = False
    unequal: float = 0.0
    loops: float = 0.0
    failing: float = 0.0
    uneven: float = 0.0
    rate: float = RATE
    discordance: float = 0.3
    sizes: float = 0.0
    spread: float = 0.5
    taste: float = 0.0
    bursts: float = 0.0
    heavy: int = 0
    prompts: int = 0
    by_prompt: float = 0.5
    repeats: int = 1
    unsteady: float = 0.0
    zipf: bool = False
    tails: bool = False
    react: float = 0.0
    few: float = 0.0

    @property
    def clusters(self) -> int:
        """How many speakers there are in all."""
        return self.speakers * (1 if self.crossed else self.slices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Answers (U,): slice, noise, speaker, words, and what the two systems made of them.

    Those of a repeat stand together, the utterances in the same order in each. ``loops`` and
    ``failed`` are those of candidate and baseline (2, U). ``prompt`` is the text that was read,
    empty where none is read twice. ``ratio`` is that of the chances of an error in slice 0.
    """

    world: World
    slice: IntArray
    noise: IntArray
    speaker: IntArray
    words: FloatArray
    candidate: FloatArray
    baseline: FloatArray
    loops: FloatArray
    failed: FloatArray
    prompt: IntArray
    ratio: float

    def pairs(self) -> PairedSums:
        """Return the sums: overall first, then the slices of ``accent``, then those of noise."""
        cuts = (
            ([OVERALL], np.zeros(len(self.slice), dtype=np.int64)),
            ([f"accent={i}" for i in range(self.world.slices)], self.slice),
            ([f"noise={name}" for name in NOISES], self.noise),
        )
        clusters = self.world.clusters
        names: list[str] = []
        cells: list[IntArray] = []
        for keys, value in cuts:
            cells.append((value + len(names)) * clusters + self.speaker)
            names += keys
        cell = np.concatenate(cells)
        systems = self._sums(tuple(names), cell, clusters)
        if self.world.prompts:
            every = np.tile(self.prompt, len(cuts))
            by_prompt = self._sums((), cell * self.world.prompts + every, self.world.prompts)
            for k, side in enumerate(by_prompt):
                at = side.slice_index
                shared = PromptSums(
                    slice_index=at // clusters,
                    cluster_index=at % clusters,
                    prompt_index=side.cluster_index,
                    columns=side.columns,
                )
                systems[k] = replace(systems[k], by_prompt=shared)
        return PairedSums(candidate=systems[0], baseline=systems[1], clusters=clusters)

    def by_repeat(self) -> ClusterSums | None:
        """Return the candidate's sums of the whole by repeat, None where there is one."""
        if self.world.repeats == 1:
            return None
        each = len(self.slice) // self.world.repeats
        repeat = np.repeat(np.arange(self.world.repeats), each)
        return self._sums((OVERALL,), repeat, self.world.repeats)[0]

    def _sums(self, slices: tuple[str, ...], cell: IntArray, width: int) -> list[ClusterSums]:
        """Return the sums of both systems by ``cell`` (U times the cuts,): slice * width + part."""
        number, place = np.unique(cell, return_inverse=True)
        times = len(cell) // len(self.slice)

        def sums(values: FloatArray) -> FloatArray:
            return group_sum(np.tile(values, times), place, len(number))

        ones = sums(np.ones(len(self.slice)))
        common = {
            "words": sums(self.words),
            "with_words": ones,
            "utterances": ones,
            EXCUSED + "capped_errors": sums(self.candidate * self.failed[1]),
        }
        return [
            ClusterSums(
                slices=slices,
                slice_index=number // width,
                cluster_index=number % width,
                columns={
                    **common,
                    "capped_errors": sums(errors),
                    "runaways": sums(self.loops[k]),
                    "failures": sums(self.failed[k]),
                },
                repeats=self.world.repeats,
            )
            for k, errors in enumerate((self.candidate, self.baseline))
        ]


def draw(
    world: World, random: np.random.Generator, *, worse: float = 0.0, ratio: float = 1.0
) -> Draw:
    """Return one run: the candidate ``worse`` by so much overall, and ``ratio`` in slice 0."""
    size = (world.slices, world.speakers)
    amount = np.exp(world.unequal * random.standard_normal(size) - world.unequal**2 / 2)
    if world.sizes:
        scale = np.exp(world.sizes * random.standard_normal(world.slices) - world.sizes**2 / 2)
        scale[0] = 1.0
        amount *= scale[:, None]
    amount *= np.where(np.arange(world.speakers) < world.heavy, HEAVY, 1.0)
    amount *= _ranked(world)[:, None]
    many = np.maximum(1, np.round(world.utterances * amount)).astype(np.int64).ravel()
    cell = np.repeat(np.arange(len(many)), many)
    slice_ = cell // world.speakers
    speaker = cell % world.speakers if world.crossed else cell
    own = _rates(world, random)
    level = np.exp(world.uneven * random.standard_normal(world.slices) - world.uneven**2 / 2)
    level[0] = 1.0
    level[1:] /= level[1:].mean() if len(level) > 1 else 1.0  # so that "worse" is worse by so much
    hard = _hardness(world, random, len(cell))
    p = np.minimum(0.6, own[speaker] * level[slice_] * hard)
    words = random.integers(SHORTEST, LONGEST + 1, len(cell))
    prompt, alone = np.zeros(0, dtype=np.int64), np.ones((2, len(cell)))
    if world.prompts:
        place = np.arange(len(cell)) - np.repeat(np.cumsum(many) - many, many)
        start = random.integers(0, world.prompts, len(many))
        prompt = (np.repeat(start, many) + place) % world.prompts
        p = np.minimum(0.6, p / hard * random.gamma(2.0, 0.5, world.prompts)[prompt])
        words = random.integers(SHORTEST, LONGEST + 1, world.prompts)[prompt]
        own_errors = random.standard_normal((2, world.prompts)) * world.by_prompt
        alone = np.exp(own_errors - world.by_prompt**2 / 2)[:, prompt]
    shared = random.binomial(words, p * (1.0 - world.discordance))
    own_p = [
        np.minimum(1.0, p * world.discordance * taste[speaker] * alone[k])
        for k, taste in enumerate(_tastes(world, random))
    ]
    more = np.where(slice_ == 0, ratio - 1.0, 0.0) * _carriers(world, random)[cell]
    extra = np.minimum(1.0, p * (worse / world.rate + more))
    errors = _answers(random, shared, words, (*own_p, extra))
    loops = random.random((2, len(cell))) < world.loops
    if world.bursts:
        lost = random.random((2, world.clusters)) < world.bursts
        loops |= lost[:, speaker] & (random.random((2, len(cell))) < LOST)
    failed = np.zeros((2, len(cell)))
    failed[1] = random.random(len(cell)) < world.failing
    noise = random.integers(0, len(NOISES), len(cell))
    asked = [errors]
    for _ in range(1, world.repeats):
        other = _answers(random, shared, words, (*own_p, extra))
        asked.append(np.where(random.random(other.shape) < world.unsteady, other, errors))
    times = world.repeats
    every = np.concatenate(asked, axis=1)
    words, failed, loops = np.tile(words, times), np.tile(failed, times), np.tile(loops, times)
    capped = np.where(loops, words, np.minimum(words, every))
    return Draw(
        world=world,
        slice=np.tile(slice_, times),
        noise=np.tile(noise, times),
        speaker=np.tile(speaker, times),
        words=words.astype(np.float64),
        candidate=capped[0].astype(np.float64),
        baseline=np.where(failed[1] > 0, 0, capped[1]).astype(np.float64),
        loops=loops.astype(np.float64) if not world.bursts else np.zeros(loops.shape),
        failed=failed,
        prompt=np.tile(prompt, times),
        ratio=_ratio(words, p, more, slice_),
    )


def _answers(
    random: np.random.Generator, shared: IntArray, words: IntArray, own: tuple[FloatArray, ...]
) -> IntArray:
    """Return the errors of both systems (2, U) in one asking.

    ``own`` are the chances of a word to be an error of the candidate, of the baseline, and of the
    candidate because it is worse.
    """
    errors = [shared + random.binomial(words, chance) for chance in own[:2]]
    errors[0] = errors[0] + random.binomial(words, own[2])
    return np.stack(errors)


def _tastes(world: World, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return how many times their own errors a speaker brings to each system (clusters,)."""
    if world.react:
        reacts = random.random(world.clusters) < world.react
        others = (1.0 - REACTION * world.react) / (1.0 - world.react)
        by_system = np.where(reacts, REACTION, others)
        return 1.0 + (by_system - 1.0) / world.discordance, np.ones(world.clusters)
    if not world.taste:
        return np.ones(world.clusters), np.ones(world.clusters)
    log = world.taste * random.standard_normal((2, world.clusters)) - world.taste**2 / 2
    return np.exp(log[0]), np.exp(log[1])


def _ratio(words: IntArray, p: FloatArray, more: FloatArray, slice_: IntArray) -> float:
    """Return how many times as many errors those who are in slice 0 are to expect."""
    expected = (words[: len(p)] * p)[slice_ == 0]
    return float(1.0 + (expected * more[slice_ == 0]).sum() / expected.sum())


def _ranked(world: World) -> FloatArray:
    """Return the amounts of slices, 1 on average; slice 0, which changes, is in the middle."""
    amount = 1.0 / np.arange(1, world.slices + 1) if world.zipf else np.ones(world.slices)
    return np.roll(amount * world.slices / amount.sum(), world.slices // 2)


def _rates(world: World, random: np.random.Generator) -> FloatArray:
    """Return the error rates of speakers (clusters,)."""
    strength = (1.0 - world.rate) / (world.spread**2 * world.rate) - 1.0
    rates = random.beta(world.rate * strength, (1.0 - world.rate) * strength, world.clusters)
    if world.tails:
        return np.asarray(world.rate * np.exp(random.standard_normal(world.clusters) - 0.5))
    return np.asarray(rates)


def _hardness(world: World, random: np.random.Generator, utterances: int) -> FloatArray:
    """Return how many times as hard as others each utterance is (utterances,)."""
    hard = random.gamma(2.0, 0.5, utterances)
    if world.tails:
        hard = np.exp(TAIL * random.standard_normal(utterances) - TAIL**2 / 2)
        return np.asarray(TAIL_SCALE * hard)
    return np.asarray(hard)


def _carriers(world: World, random: np.random.Generator) -> FloatArray:
    """Return how many times what makes a slice worse each of its speakers brings (cells,)."""
    if not world.few:
        return np.ones(world.slices * world.speakers)
    carriers = max(1, round(world.few * world.speakers))
    rank = random.random((world.slices, world.speakers)).argsort(axis=1)
    return np.where(rank < carriers, world.speakers / carriers, 0.0).ravel()
