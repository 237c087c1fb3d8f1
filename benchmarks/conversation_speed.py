"""What holding and measuring conversations costs, each beside the least that does the same.

python -m benchmarks.conversation_speed [--rounds 3]

Holding a conversation beside a bare client that sends the same frames and drops what it gets;
replaying recordings beside reading them; Silero beside a bare loop over its model; churn beside
parsing the JSON of its updates.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from relkit.adapters.recordings import RecordingFolder, read_recording, write_recording
from relkit.adapters.systems.voice_ws import VoiceWsSystem
from relkit.adapters.voice_activity import CHUNK, SileroVad
from relkit.conversation.partials import cached_words, count_updates
from relkit.conversation.record import conversation_of
from relkit.conversation.turns import measure_turns
from relkit.conversation.types import ConversationScript, ReactionWindows, ScriptClip
from relkit.datasets.types import Answer, AnswerEvent, ScriptEntry, When
from relkit.evaluation.types import VoiceWs

RATE = 16_000
FRAME = RATE // 50
TALK_S = 6.0
RECORDINGS = 200
UPDATES = 1_000_000

AGENT = """
import asyncio, sys
from websockets.asyncio.server import serve
async def agent(connection):
    count = 0
    async for message in connection:
        count += isinstance(message, bytes)
        if count == 100 and isinstance(message, bytes):
            await connection.send(b"\\x00\\x10" * 8000)
async def main():
    async with serve(agent, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
"""


def script(folder: str) -> ConversationScript:
    """Return a conversation of one entry that lasts about as long as the bare client sends."""
    samples = np.full(round((TALK_S - 2.0) * RATE), 0.1, dtype="<f4").tobytes()
    entry = ScriptEntry(turn="u1", audio_filepath="a", when=When(after="start"))
    bounds = (0.0, 1000.0 * (TALK_S - 2.0) - 1.0)
    return ConversationScript(
        id="a",
        clips=(ScriptClip(entry=entry, samples=samples, bounds_ms=bounds),),
        sample_rate=RATE,
        windows=ReactionWindows(answer_ms=2000.0),
        digest="d",
        folder=folder,
    )


async def bare(url: str) -> list[float]:
    """Send the same frames on the same schedule, drop what comes; return how late each was, ms."""
    from websockets.asyncio.client import connect

    frame = bytes(2 * FRAME)
    late = []
    async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:

        async def drop() -> None:
            async for _ in connection:
                pass

        receiving = asyncio.create_task(drop())
        begun = time.perf_counter()
        for number in range(round(TALK_S * 50)):
            due = begun + number * 0.02
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            late.append(1000.0 * (time.perf_counter() - due))
            await connection.send(frame)
        receiving.cancel()
    return late


def cpu_s() -> float:
    """Return the processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def holding(rounds: int) -> None:
    """Print what holding costs beside the bare client, a frame each."""
    costs: dict[str, list[float]] = {"relkit": [], "bare": []}
    pacing: dict[str, list[float]] = {"relkit": [], "bare": []}
    with (
        subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True) as agent,
        tempfile.TemporaryDirectory() as folder,
    ):
        port = int(agent.stdout.readline() if agent.stdout else 0)
        url = f"ws://127.0.0.1:{port}"
        system = VoiceWsSystem(VoiceWs(url=url), {}, write_recording)
        asyncio.run(bare(url))
        for _ in range(rounds):
            before = cpu_s()
            late = asyncio.run(bare(url))
            costs["bare"].append((cpu_s() - before) / len(late))
            pacing["bare"].append(float(np.percentile(late, 99)))
            before = cpu_s()
            answer = system.answer(script(folder))
            if not isinstance(answer, Answer):
                raise SystemExit(f"the conversation failed: {answer.reason}")
            frames = (answer.duration_ms or 0.0) / 20.0
            costs["relkit"].append((cpu_s() - before) / frames)
            pacing["relkit"].append(answer.usage["pacing_p99_ms"])
        agent.kill()
    cost = {name: statistics.median(values) for name, values in costs.items()}
    late_ms = {name: statistics.median(values) for name, values in pacing.items()}
    ratio = cost["relkit"] / cost["bare"]
    print(
        f"holding: {1e6 * cost['relkit']:.0f} us of processor a frame, bare client "
        f"{1e6 * cost['bare']:.0f} us: {ratio:.2f} x (target 1.3)"
    )
    added = late_ms["relkit"] - late_ms["bare"]
    print(
        f"pacing: p99 {late_ms['relkit']:.1f} ms, bare client {late_ms['bare']:.1f} ms: "
        f"{added:+.1f} ms (target +2)"
    )


def replaying() -> None:
    """Print what measuring recorded conversations costs, from audio and from events."""
    draw = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, answers = [], []
        for _ in range(20):
            agent = np.zeros(30 * RATE, dtype=np.int16)
            spans = [(3000 * i + 1500, 3000 * i + 2700) for i in range(10)]
            for start, stop in spans:
                part = slice(start * RATE // 1000, stop * RATE // 1000)
                agent[part] = draw.integers(-3000, 3000, part.stop - part.start)
            user = draw.normal(0, 1600, 30 * RATE).astype(np.int16)
            files.append(write_recording(folder, [user], [agent], RATE))
            events = [
                AnswerEvent(t_ms=float(t), kind=kind, turn=f"u{i}" if "user" in kind else None)
                for i, (start, stop) in enumerate(spans)
                for t, kind in (
                    (start - 1400, "user_speech_start"),
                    (start - 600, "user_speech_stop"),
                    (start - 200, "user_stopped_speaking"),
                    (start - 100, "final"),
                    (start, "agent_speech_start"),
                    (stop, "agent_speech_stop"),
                )
            ]
            answers.append(Answer(text="", events=tuple(events), duration_ms=30_000.0))
        recordings = RecordingFolder(
            folder / "cache", resample=lambda samples, *_: samples, speech=lambda *_: ()
        )
        windows = ReactionWindows()

        def read() -> None:
            for i in range(RECORDINGS):
                samples, _ = read_recording(folder / files[i % 20])
                float(np.sqrt(np.mean(np.square(samples[:, 1]))))

        def from_audio() -> None:
            for i in range(RECORDINGS):
                spans = recordings.sound(files[i % 20], (folder,), windows=windows, source="audio")
                talk = conversation_of(answers[i % 20], id="a", agent=spans, source="audio")
                measure_turns(talk, windows)

        def from_events() -> None:
            for i in range(RECORDINGS):
                measure_turns(conversation_of(answers[i % 20], id="a"), windows)

        read()
        passes, audio, events_s = (seconds(work) for work in (read, from_audio, from_events))
    print(
        f"replay of {RECORDINGS} from audio: {audio:.2f} s, reading them and one RMS pass "
        f"{passes:.2f} s: {audio / passes:.2f} x (target 2)"
    )
    print(
        f"replay of {RECORDINGS} from events: {events_s:.3f} s: {audio / events_s:.0f} x faster "
        "(target 20)"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the least of three timings."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def listening() -> None:
    """Print what our stream of Silero costs beside a bare loop over the same chunks."""
    vad = SileroVad()
    chunks = np.random.default_rng(2).normal(0, 0.1, (2000, CHUNK)).astype(np.float32)

    def ours() -> None:
        stream = vad.stream()
        for chunk in chunks:
            stream.probability(chunk)

    def plain() -> None:
        session = vad.stream()._session  # noqa: SLF001 - the same session, without our part
        held = np.zeros((1, 64 + CHUNK), dtype=np.float32)
        h = c = np.zeros((1, 1, 128), dtype=np.float32)
        for chunk in chunks:
            held[0, :64] = held[0, -64:]
            held[0, 64:] = chunk
            _, h, c = session.run(None, {"input": held, "h": h, "c": c})

    plain()
    theirs, own = seconds(plain), seconds(ours)
    print(f"silero: {own:.2f} s, a bare loop {theirs:.2f} s: {own / theirs:.2f} x (target 1.1)")


def churning() -> None:
    """Print what the churn of a million updates costs beside parsing their JSON."""
    words = ("set", "the", "timer", "for", "ten", "minutes", "please", "now", "or", "later")
    streams: list[list[str]] = []
    for i in range(UPDATES // 20):
        said = [words[(i * 7 + j) % 10] for j in range(10)]
        texts = [" ".join(said[: 1 + j // 2]) for j in range(19)]
        streams.append([*texts, " ".join(said)])
    lines = [
        [
            json.dumps({"t_ms": 100.0 * j, "kind": "partial", "text": text})
            for j, text in enumerate(stream)
        ]
        for stream in streams
    ]

    def parse() -> None:
        for stream in lines:
            for line in stream:
                json.loads(line)

    def churn() -> None:
        words_of = cached_words(str.lower, str.split)
        for stream in streams:
            count_updates(words_of(text) for text in stream)

    parsed, measured = seconds(parse), seconds(churn)
    print(
        f"churn of {UPDATES:,} updates: {measured:.2f} s, parsing their JSON {parsed:.2f} s: "
        f"{measured / parsed:.2f} x (target 2)"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often a conversation is held")
    options = parser.parse_args(arguments)
    listening()
    churning()
    replaying()
    holding(options.rounds)


if __name__ == "__main__":
    main()
