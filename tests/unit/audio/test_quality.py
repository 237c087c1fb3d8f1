"""What of a clip is scored, the noise floor, and the workflow over a scorer of our own."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.audio.quality import (
    RATE,
    WINDOW,
    bases_of,
    noise_floor,
    parse_quality,
    plan_windows,
    reasons_counted,
    render_quality,
    unscorable,
    unscored,
)
from relkit.audio.types import ComparedClip, Quality, QualityEvidence
from relkit.core.errors import InvalidInput
from relkit.core.metrics import METRICS, PREDICTED, QUALITY_METRICS, expand, metric_of
from relkit.datasets.types import AudioSpan, Clip, Unusable, UnusableReason, Utterance
from relkit.evaluation.quality import (
    REPEATED,
    QualityPorts,
    Spoken,
    quality_scorer,
    recordings,
    score_quality,
)
from tests.builders import outcome, utterance


def library_windows(samples: int) -> tuple[list[int], int, int]:
    """Return starts, length and dropped windows as the loop in speechmos 0.0.1.1 makes them."""
    audio = np.zeros(samples, dtype=np.int8)
    while len(audio) < int(9.01 * 16000):
        audio = np.append(audio, audio)
    used, dropped = [], 0
    for i in range(int(np.floor(len(audio) / 16000) - 9.01) + 1):
        segment = audio[int(i * 16000) : int((i + 9.01) * 16000)]
        if len(segment) < int(9.01 * 16000):
            dropped += 1
        else:
            used.append(i * 16000)
    return used, len(audio), dropped


@given(samples=st.one_of(st.integers(1, 200_000), st.integers(200_000, 2_000_000)))
def test_windows_are_those_of_the_library(samples: int) -> None:
    """The same count, the same phases of the same loop, the same ones dropped."""
    used, length, dropped = library_windows(samples)
    found = plan_windows(samples)
    assert (found.length, found.dropped, found.used) == (length, dropped, len(used))
    looped = length > samples
    phases = [start % samples if looped else start for start in used]
    mine = [start % samples if looped else start for start in found.starts]
    assert dict(zip(mine, found.weights, strict=True)) == {p: phases.count(p) for p in phases}
    assert len(set(mine)) == len(mine)
    assert all(start + WINDOW <= length for start in found.starts)


def test_windows_that_rounding_drops_are_counted() -> None:
    """Of 35 windows of a clip of 44 s the library averages 18."""
    found = plan_windows(44 * RATE)
    assert (found.used, found.dropped) == (18, 17)


def test_a_second_that_is_looped_is_one_window() -> None:
    """All seven windows of speechmos hold the same samples."""
    found = plan_windows(RATE)
    assert (found.starts, found.weights) == ((0,), (7,))


def test_an_empty_clip_has_no_windows_instead_of_an_endless_loop() -> None:
    """The library never returns from one."""
    with pytest.raises(ValueError, match="empty"):
        plan_windows(0)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        ([], RATE, "empty"),
        ([0.1, np.nan], RATE, "not_finite"),
        ([0.1, -np.inf], RATE, "not_finite"),
        ([0.0] * RATE, RATE, "silent"),
        ([2**-15, -(2**-15)] * RATE, RATE, "silent"),
        ([2**-14] * 1600, RATE, None),
        ([0.5] * 1599, RATE, "too_short"),
        ([0.5] * 800, 8000, None),
        ([0.5] * 799, 8000, "too_short"),
    ],
)
def test_what_cannot_be_scored_says_why(
    samples: list[float], rate: int, reason: str | None
) -> None:
    """Silence and fragments have no quality, and no zero either."""
    assert unscorable(np.array(samples, dtype=np.float32), rate) == reason


@pytest.mark.parametrize("text", ["", "{}", '{"scores": {"plcmos": NaN}}', "[1]"])
def test_a_garbled_line_is_refused(text: str) -> None:
    """A cache that was damaged gives an error and no score."""
    with pytest.raises(InvalidInput, match="line"):
        parse_quality(text, source="line")


def test_not_a_number_is_never_written() -> None:
    """JSON has no NaN, and a score is a number."""
    with pytest.raises(ValueError, match="Out of range"):
        render_quality(Quality(scores={"plcmos": float("nan")}))


def test_the_noise_floor_is_the_spread_of_repeats_or_the_scores_own_whichever_is_larger() -> None:
    """Repeats 0.02 apart have an sd of 0.0141; PLCMOS knows 0.002 of itself."""
    first = Quality(scores={"plcmos": 3.0, "dnsmos_sig": 2.0}, noise={"plcmos": 0.002})
    second = Quality(scores={"plcmos": 3.02, "dnsmos_sig": 2.0}, noise={"plcmos": 0.002})
    found = noise_floor(["plcmos", "dnsmos_sig", "pesq"], [first], [(first, second)])
    assert found["plcmos"].sd == pytest.approx(0.02 / 2**0.5)
    assert (found["dnsmos_sig"].sd, found["dnsmos_sig"].repeated) == (0.0, 1)
    assert "pesq" not in found
    still = noise_floor(["plcmos"], [first], [(first, first)])
    assert still["plcmos"].sd == 0.002


def test_reasons_are_counted_by_metric() -> None:
    """A clip that has no reference is no defect of PESQ."""
    qualities = [
        unscored(["plcmos", "pesq"], "silent"),
        Quality(scores={"plcmos": 3.0}, reasons={"pesq": "no_reference"}),
        Quality(scores={"plcmos": 3.0}, reasons={"pesq": "no_speech"}),
    ]
    assert reasons_counted(["plcmos", "pesq"], qualities) == {
        "plcmos": {"silent": 1},
        "pesq": {"silent": 1, "no_speech": 1},
    }


def test_suites_name_metrics_with_and_without_statistic() -> None:
    """A bare DNSMOS name means its mean and its tenth percentile, and says that it predicts."""
    assert expand(("dnsmos_ovrl", "plcmos")) == (
        "dnsmos_ovrl.mean",
        "dnsmos_ovrl.p10",
        "plcmos.mean",
    )
    assert bases_of(("wer", "plcmos.mean", "dnsmos_sig.p10"), QUALITY_METRICS) == (
        "dnsmos_sig",
        "plcmos",
    )
    for name in PREDICTED:
        found = metric_of(f"{name}.mean")
        assert (found.unit, found.better) == ("mos", "up")
        assert "predicted MOS" in METRICS[name].help


class Lengths:
    """Implements QualityScorer: a clip's score is its length in s, and a silent one has none."""

    metrics = ("plcmos", "pesq")
    models: Mapping[str, str] = {"ruler": "1"}
    protocol = "measured"
    digest = "sha256:lengths"

    def __init__(self) -> None:
        """Nothing asked yet."""
        self.asked: list[str] = []

    def score(self, clips: Iterable[tuple[str, ComparedClip]]) -> Iterator[tuple[str, Quality]]:
        """Yield in another order than asked, two by two."""
        for pair in pairwise([*clips, ("", None)]):
            name, clip = pair[0]
            self.asked.append(name)
            if clip is not None:
                yield name, self._quality(clip)

    def _quality(self, clip: ComparedClip) -> Quality:
        if not np.frombuffer(clip.samples, dtype="<f4").any():
            return unscored(self.metrics, "silent")
        scores = {"plcmos": clip.duration_s}
        if clip.reference is not None:
            scores["pesq"] = clip.reference.duration_s
        reasons = {} if "pesq" in scores else {"pesq": "no_reference"}
        return Quality(scores=scores, reasons=reasons, windows=1)


class Memory:
    """Implements QualityCache in memory."""

    def __init__(self) -> None:
        """Nothing known yet."""
        self.kept: dict[tuple[str, str], Quality] = {}

    def get(self, scorer: str, audio: str) -> Quality | None:
        """Return what was kept."""
        return self.kept.get((scorer, audio))

    def put(self, scorer: str, audio: str, quality: Quality) -> None:
        """Keep it."""
        self.kept[scorer, audio] = quality

    def flush(self) -> None:
        """Do nothing: memory is as durable as this gets."""


class Tape:
    """Implements AudioReader: the path says how many tenths of a second there are."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self.read_paths: list[str] = []

    def read(self, root: str, span: AudioSpan, *, max_s: float) -> Clip | Unusable:
        """Return ones, or zeros for a path that begins with ``quiet``."""
        assert root == "root"
        assert max_s == 5.0
        self.read_paths.append(span.path)
        kind, _, tenths = span.path.partition("-")
        if kind == "missing":
            return Unusable(reason=UnusableReason.MISSING, detail="")
        samples = np.full(1600 * int(tenths), kind != "quiet", dtype="<f4").tobytes()
        return Clip(
            samples=samples, sample_rate=RATE, digest=f"sha256:{kind}{tenths}", path="", whole=True
        )


def scored_by(scorer: Lengths, memory: Memory, tape: Tape, *items: Spoken) -> QualityEvidence:
    """Return the evidence of some items."""

    @contextmanager
    def opened() -> Iterator[Memory]:
        yield memory

    ports = QualityPorts(scorer=lambda _metrics: scorer, cache=opened)
    seen: list[tuple[int, int]] = []
    found = score_quality(
        items,
        scorer,
        ports,
        audio=tape,
        root="root",
        max_s=5.0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (len(items), len(items))
    return found


def item(
    name: str, path: str, *, digest: str | None = None, reference: str | None = None
) -> Spoken:
    """Return audio to be scored."""
    span = None if reference is None else AudioSpan(path=reference)
    return Spoken(id=name, audio=AudioSpan(path=path), digest=digest, reference=span)


def test_the_same_samples_are_scored_once_and_a_second_time_for_the_noise_floor() -> None:
    """Two utterances share a recording; three clips are repeated, whatever the cache holds."""
    scorer, memory = Lengths(), Memory()
    items = [item("a", "x-10"), item("b", "x-10"), item("c", "x-20"), item("d", "x-30")]
    found = scored_by(scorer, memory, Tape(), *items)
    assert [found.by_id[name].scores["plcmos"] for name in "abcd"] == [1.0, 1.0, 2.0, 3.0]
    fresh = [name for name in scorer.asked if not name.startswith("again:")]
    assert sorted(fresh) == ["sha256:x10", "sha256:x20", "sha256:x30"]
    assert len(scorer.asked) - len(fresh) == REPEATED
    assert found.summary.noise_floor["plcmos"].repeated == REPEATED
    assert found.summary.clips == 4


def test_what_the_cache_holds_is_not_read_but_for_the_repeats() -> None:
    """A digest that is known from decoding spares reading the file once more."""
    scorer, memory = Lengths(), Memory()
    items = [item(f"u{i}", f"x-{i + 1}", digest=f"sha256:x{i + 1}") for i in range(6)]
    first = scored_by(scorer, memory, Tape(), *items)
    again, tape = Lengths(), Tape()
    second = scored_by(again, memory, tape, *items)
    assert second.by_id == first.by_id
    assert len(tape.read_paths) == REPEATED
    assert all(name.startswith("again:") for name in again.asked)


def test_undecodable_and_silent_clips_have_reasons_and_no_scores() -> None:
    """They are counted, and what is decoded is scored."""
    items = [item("a", "missing-1"), item("b", "quiet-5"), item("c", "x-5")]
    found = scored_by(Lengths(), Memory(), Tape(), *items)
    assert not found.by_id["a"].scores
    assert found.by_id["a"].reasons["plcmos"] == "missing"
    assert found.by_id["b"].reasons["plcmos"] == "silent"
    assert found.summary.unscored["plcmos"] == {"missing": 1, "silent": 1}
    assert found.summary.clips == 1


def test_a_reference_is_part_of_what_the_cache_knows_a_clip_by() -> None:
    """Another reference, or one that has come to be, gives another score."""
    memory = Memory()
    for reference, expected in (("missing-1", None), ("clean-20", 2.0), ("clean-30", 3.0)):
        items = [item("a", "x-10", digest="sha256:x10", reference=reference)]
        found = scored_by(Lengths(), memory, Tape(), *items)
        assert found.by_id["a"].scores.get("pesq") == expected
    assert len(memory.kept) == 3


def said(name: str, **fields: str) -> Utterance:
    """Return an utterance with these columns."""
    return replace(utterance(name), attributes=fields)


def test_recordings_are_those_the_system_could_be_given() -> None:
    """Unusable items are left out, repeats stand once, and the manifest may name a reference."""
    utterances = [said("a", reference_audio="clean/a.wav"), said("b"), said("c")]
    broken = Unusable(reason=UnusableReason.EMPTY, detail="")
    outcomes = [
        replace(outcome("a"), audio="sha256:1"),
        replace(outcome("b"), prediction=None, unusable=broken),
        outcome("c"),
        replace(outcome("a"), repeat=1, audio="sha256:2"),
    ]
    found = recordings(utterances, outcomes, manifest="manifest.jsonl")
    assert [(one.id, one.digest) for one in found] == [("a", "sha256:1"), ("c", outcomes[2].audio)]
    assert found[0].reference == AudioSpan(path="clean/a.wav")


@pytest.mark.parametrize("path", ["../else.wav", "/etc/passwd", "a/../../b.wav"])
def test_a_reference_outside_the_dataset_is_refused(path: str) -> None:
    """The message names the line and not the path."""
    with pytest.raises(InvalidInput, match="line") as caught:
        recordings([said("a", reference_audio=path)], [outcome("a")], manifest="manifest.jsonl")
    assert path not in str(caught.value)


def test_a_suite_without_quality_metrics_asks_for_no_scorer() -> None:
    """Nothing is looked for, so nothing has to be installed."""

    def refuse(_metrics: tuple[str, ...]) -> Lengths:
        raise AssertionError

    ports = QualityPorts(scorer=refuse, cache=_none)
    assert quality_scorer(("wer", "latency_ms.p95"), ports) is None


@contextmanager
def _none() -> Iterator[Memory]:
    yield Memory()
