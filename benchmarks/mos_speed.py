"""Predicted MOS beside speechmos, in the same run: one process, then several.

Each clip is scored by both in turn and the best of a few rounds counts. "as installed" is speechmos
with its own number of threads (all cores), "one thread" the same library with its sessions held to
one, as relkit's are: the fair comparison for a tool that is run once per core. What speechmos needs
before its first score (librosa compiles with numba for 12 to 19 s) is excluded, and printed.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from numpy.typing import NDArray
from speechmos import dnsmos, plcmos

from relkit.adapters.mos.scorers import MosModels
from relkit.audio.types import ComparedClip
from relkit.core.metrics import PREDICTED
from relkit.datasets.types import Clip
from relkit.wiring.systems import quality_scorer

Samples = NDArray[np.float32]
DATASET = Path(__file__).resolve().parents[1] / "datasets" / "assistant-commands"
SECONDS = (1, 10, 30, 60)
RATE = 16_000
ROUNDS = 3
SCALING_CLIPS = 48


def speech(seconds: float) -> Samples:
    """Return bundled speech of this length, one recording after the other."""
    parts: list[Samples] = []
    for line in (DATASET / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        parts.append(
            soundfile.read(DATASET / json.loads(line)["audio_filepath"], dtype="float32")[0]
        )
        if sum(map(len, parts)) >= seconds * RATE:
            break
    return np.ascontiguousarray(np.resize(np.concatenate(parts), round(seconds * RATE)))


def clip_of(samples: Samples, name: str = "") -> ComparedClip:
    """Return samples as a clip."""
    data = samples.astype("<f4").tobytes()
    return ComparedClip(samples=data, sample_rate=RATE, digest=name, path="", whole=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let sessions that speechmos opens meanwhile have one thread."""
    real = onnxruntime.InferenceSession

    def session(path: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return real(path, options)

    dnsmos.dnsmos = plcmos.plcmos = None
    onnxruntime.InferenceSession = session
    try:
        peer(speech(1))
    finally:
        onnxruntime.InferenceSession = real
    yield


def peer(samples: Samples) -> None:
    """Score by speechmos, all five scores."""
    dnsmos.run(samples, RATE)
    plcmos.run(samples, RATE)


@dataclass(frozen=True, slots=True)
class Took:
    """What a call took at best: seconds on the clock, and of all cores together."""

    wall: float
    cpu: float


def fastest(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Took]:
    """Return the best of some rounds of each, called in turn so that drift hits all alike."""
    best = dict.fromkeys(calls, Took(float("inf"), float("inf")))
    for _ in range(rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = Took(min(best[name].wall, wall), min(best[name].cpu, cpu))
    return best


def compare(threads: str, lengths: Sequence[int], rounds: int) -> None:
    """Print the table of one process."""
    every, dns = MosModels(PREDICTED), MosModels(PREDICTED[:4])
    print(f"\nspeechmos {threads}; ratios of time on the clock, of CPU time")
    print(
        "  clip    speechmos     relkit     all five scores    DNSMOS only     largest difference"
    )
    for seconds in lengths:
        samples = speech(seconds)
        clip: Clip = clip_of(samples)
        best = fastest(
            {
                "peer": partial(peer, samples),
                "own": partial(every.quality, clip),
                "peer dns": partial(dnsmos.run, samples, RATE),
                "own dns": partial(dns.quality, clip),
            },
            rounds,
        )
        theirs, ours = dnsmos.run(samples, RATE), dns.quality(clip).scores
        keys = ("sig_mos", "bak_mos", "ovrl_mos", "p808_mos")
        apart = max(abs(theirs[k] - ours[n]) for k, n in zip(keys, PREDICTED[:4], strict=True))
        peer_all, own_all, peer_dns, own_dns = best.values()
        print(
            f"  {seconds:3d} s  {peer_all.wall:8.3f} s {own_all.wall:8.3f} s"
            f"   {peer_all.wall / own_all.wall:6.1f} x {peer_all.cpu / own_all.cpu:6.1f} x"
            f"  {peer_dns.wall / own_dns.wall:6.1f} x {peer_dns.cpu / own_dns.cpu:6.1f} x"
            f"     {apart:12.1e}"
        )


def scaling(count: int) -> None:
    """Print what a second process brings."""
    whole = speech(60)
    clips = [
        (str(i), clip_of(np.roll(whole, -i * RATE)[: 10 * RATE], str(i))) for i in range(count)
    ]
    times = {}
    for jobs in (1, 2):
        started = time.perf_counter()
        scorer = quality_scorer(PREDICTED, jobs=jobs)
        assert sum(1 for _ in scorer.score(clips)) == len(clips)  # noqa: S101 - a benchmark's check
        times[jobs] = time.perf_counter() - started
    print(f"\n{count} clips of 10 s, worker start included")
    for jobs, seconds in times.items():
        print(f"  --jobs {jobs}  {seconds:6.2f} s   {times[1] / seconds:.2f} x")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="predicted MOS beside speechmos")
    parser.add_argument("--seconds", type=int, nargs="+", default=SECONDS, help="clips so long")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--clips", type=int, default=SCALING_CLIPS, help="of the second table")
    options = parser.parse_args()
    started = time.perf_counter()
    peer(speech(1))
    print(f"the first score of speechmos took {time.perf_counter() - started:.1f} s (not counted)")
    compare("as installed, all cores", options.seconds, options.rounds)
    with one_thread():
        compare("held to one thread", options.seconds, options.rounds)
    scaling(options.clips)


if __name__ == "__main__":
    main()
