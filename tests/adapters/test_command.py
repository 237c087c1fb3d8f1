"""Programs as systems: real processes that answer, hang, die, talk nonsense and leave children."""

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from relkit.adapters.recordings import keep_recording, read_recording
from relkit.adapters.systems.command import GIVE_UP, CommandConversations, CommandSystem
from relkit.audio.samples import wav_bytes
from relkit.conversation.types import ConversationScript, ScriptClip
from relkit.core.errors import BackendUnavailable, InvalidInput
from relkit.datasets.types import Answer, Clip, Failure, ScriptEntry, When
from relkit.evaluation.types import Command
from tests.fakes import tone, write_tone

Start = Callable[..., CommandSystem]

PRELUDE = """
import json, os, sys, time

def requests():
    for line in sys.stdin:
        yield json.loads(line)

def say(**document):
    print(json.dumps(document))
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a maker of systems that run a Python script, and close them in the end."""
    systems: list[CommandSystem] = []

    def make(script: str, *, timeout_s: float = 10.0) -> CommandSystem:
        path = tmp_path / "program with space.py"
        path.write_text(PRELUDE + script)
        systems.append(
            CommandSystem(
                Command(
                    run=shlex.join([sys.executable, str(path), "an argument"]),
                    timeout_s=timeout_s,
                ),
                folder=tmp_path,
                environment={**os.environ, "GIVEN": "by the harness"},
            )
        )
        return systems[-1]

    yield make
    for system in systems:
        system.close()


ECHO = "for r in requests(): say(id=r['id'], text='heard')\n"


def _text(outcome: Answer | Failure) -> str:
    assert isinstance(outcome, Answer), outcome
    return outcome.text


def _failure(outcome: Answer | Failure) -> tuple[str, str, bool]:
    assert isinstance(outcome, Failure), outcome
    return outcome.reason.value, outcome.detail, outcome.retryable


def _gone(pid: int) -> bool:
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_program_gets_what_the_protocol_says(start: Start, tmp_path: Path) -> None:
    """Path, duration and rate of a whole file arrive, with folder, environment and arguments."""
    clip = write_tone(tmp_path / "a.wav", seconds=0.5, rate=8_000)
    system = start(
        "for r in requests():\n"
        "  seen = [os.getcwd(), os.environ['GIVEN'], sys.argv[1:]]\n"
        "  say(id=r.pop('id'), text=json.dumps([r, seen]))\n"
    )
    request, seen = json.loads(_text(system.answer(clip)))
    assert request == {"audio": clip.path, "duration": 0.5, "sample_rate": 8_000}
    assert seen == [str(tmp_path), "by the harness", ["an argument"]]


def test_a_segment_arrives_as_a_wav_of_its_own_that_is_gone_later(
    start: Start, tmp_path: Path
) -> None:
    """What is no whole file is written for the program and removed when the system is closed."""
    whole = write_tone(tmp_path / "a.wav")
    clip = Clip(
        samples=whole.samples[:4000], sample_rate=16_000, digest="d", path=whole.path, whole=False
    )
    system = start(
        "for r in requests():\n"
        "  say(id=r['id'], text=r['audio'], audio=open(r['audio'], 'rb').read().hex())\n"
    )
    outcome = system.answer(clip)
    assert isinstance(outcome, Answer)
    assert bytes.fromhex(outcome.audio or "") == wav_bytes(clip.samples, 16_000)
    assert outcome.text != whole.path
    system.close()
    assert not Path(outcome.text).exists()


def test_one_program_answers_every_clip_under_ids_that_tell_nothing(start: Start) -> None:
    """It is started once, and each request has another token."""
    system = start("for r in requests(): say(id=r['id'], text=f\"{os.getpid()} {r['id']}\")\n")
    answers = [_text(system.answer(tone(i))).split() for i in range(5)]
    assert len({pid for pid, _ in answers}) == 1
    assert len({token for _, token in answers}) == 5


def test_latency_is_the_harness_s_and_never_counts_the_start(start: Start) -> None:
    """The first answer has no latency, later ones have; a program's own clock is believed."""
    system = start(
        "for i, r in enumerate(requests()):\n"
        "  own = {'clock': 'system'} if i == 2 else {}\n"
        "  say(id=r['id'], text='', latency_ms=1e6, first_byte_ms=5e5, **own)\n"
    )
    first, second, third = (system.answer(tone(i)) for i in range(3))
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert isinstance(third, Answer)
    assert (first.latency_ms, first.first_byte_ms) == (None, None)
    assert second.latency_ms is not None
    assert 0 < second.latency_ms < 1e6
    assert second.clock == "harness"
    assert (third.latency_ms, third.first_byte_ms, third.clock) == (1e6, 5e5, "system")


def test_a_reported_error_is_a_failure_and_the_program_goes_on(start: Start) -> None:
    """An error line is an answer of the protocol: no restart."""
    system = start(
        "for i, r in enumerate(requests()):\n"
        "  say(id=r['id'], **({'error': 'no_speech'} if i == 0 else {'text': 'heard'}))\n"
    )
    assert _failure(system.answer(tone(0))) == ("reported", "no_speech", False)
    assert _text(system.answer(tone(1))) == "heard"


def test_a_program_that_hangs_is_killed_with_its_children(start: Start, tmp_path: Path) -> None:
    """A time-out ends the whole process group, and the next clip gets a new program."""
    system = start(
        "import subprocess\n"
        "if not os.path.exists('hung'):\n"
        "  child = subprocess.Popen(['sleep', '600'])\n"
        "  open('hung', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "  time.sleep(600)\n" + ECHO,
        timeout_s=2.0,
    )
    assert _failure(system.answer(tone(0))) == ("timeout", "no answer in 2 s", True)
    assert all(_gone(int(pid)) for pid in (tmp_path / "hung").read_text().split())
    assert _text(system.answer(tone(1))) == "heard"


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("os.abort()", "signal SIGABRT"),
        ("os.close(1); sys.exit(4)", "exit code 4"),
        ("1 / 0", "exit code 1"),
    ],
)
def test_a_program_that_ends_has_crashed_and_is_started_again(
    start: Start, end: str, detail: str
) -> None:
    """The failure says how it ended; the next clip is answered by a new one."""
    system = start(
        "for r in requests():\n"
        "  if not os.path.exists('ended'):\n"
        "    open('ended', 'w').close()\n"
        f"    {end}\n"
        "  say(id=r['id'], text='heard')\n"
    )
    assert _failure(system.answer(tone(0))) == ("crashed", detail, True)
    assert _text(system.answer(tone(1))) == "heard"


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("print('Loading the model ...')", "a line that is no answer"),
        ("say(id=r['id'])", "a line that is no answer"),
        ("say(id='another', text='x')", "the answer to another id"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe\\n')", "a line that is no answer"),
        ("print('x' * (3 << 20))", "a line of more than 1 MiB"),
    ],
)
def test_a_line_that_breaks_the_protocol_is_a_failure_and_a_new_start(
    start: Start, line: str, detail: str
) -> None:
    """Nonsense is named, not repeated, and cannot be taken for a later answer."""
    system = start(
        "for r in requests():\n"
        "  if not os.path.exists('broken'):\n"
        "    open('broken', 'w').close()\n"
        f"    {line}\n"
        "    say(id=r['id'], text='late')\n"
        "  say(id=r['id'], text='heard')\n"
    )
    assert _failure(system.answer(tone(0))) == ("protocol", detail, False)
    assert _text(system.answer(tone(1))) == "heard"


def test_an_answer_too_many_is_noticed(start: Start) -> None:
    """Two lines for one request never become the answer of the next one."""
    system = start(
        "for r in requests():\n"
        "  for _ in range(1 if os.path.exists('twice') else 2):\n"
        "    say(id=r['id'], text='heard')\n"
        "  open('twice', 'w').close()\n"
    )
    assert _text(system.answer(tone(0))) == "heard"
    assert _failure(system.answer(tone(1)))[:2] == ("protocol", "the answer to another id")
    assert _text(system.answer(tone(2))) == "heard"


def test_standard_error_neither_blocks_nor_mixes_in(start: Start) -> None:
    """A program may write megabytes of log beside its answers."""
    system = start(
        "for r in requests():\n"
        "  sys.stderr.write('log ' * 250_000)\n"
        "  say(id=r['id'], text='heard')\n"
    )
    assert [_text(system.answer(tone(i))) for i in range(3)] == ["heard"] * 3


def test_a_program_that_never_answers_ends_the_run(start: Start) -> None:
    """One that dies from the start is given up, since asking on would only count failures."""
    system = start("sys.exit(7)\n")
    outcomes = [system.answer(tone(i)) for i in range(GIVE_UP - 1)]
    assert {_failure(outcome)[1] for outcome in outcomes} == {"exit code 7"}
    with pytest.raises(BackendUnavailable, match="never answered: crashed, exit code 7"):
        system.answer(tone(GIVE_UP))


def test_a_program_that_once_answered_is_never_given_up(start: Start) -> None:
    """Failures of a system that works at all are results, however many there are."""
    system = start(
        "for i, r in enumerate(requests()):\n"
        "  if os.path.exists('answered'): sys.exit(7)\n"
        "  open('answered', 'w').close()\n"
        "  say(id=r['id'], text='heard')\n"
    )
    assert _text(system.answer(tone(0))) == "heard"
    for i in range(GIVE_UP + 2):
        assert _failure(system.answer(tone(i)))[0] == "crashed"


def test_closing_lets_a_program_end_by_itself_or_ends_it(start: Start, tmp_path: Path) -> None:
    """At the end of its input a program may clean up; one that stays is killed."""
    polite = start(ECHO + "open('bye', 'w').close()\n")
    assert _text(polite.answer(tone(0))) == "heard"
    polite.close()
    assert (tmp_path / "bye").exists()
    stubborn = start("open('pid', 'w').write(str(os.getpid()))\n" + ECHO + "time.sleep(600)\n")
    assert _text(stubborn.answer(tone(0))) == "heard"
    stubborn.close()
    assert _gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("run", ["no-such-program --flag", "'", "   ", "/etc"])
def test_what_cannot_be_started_is_refused(tmp_path: Path, run: str) -> None:
    """A program that is not there ends the run before the first clip."""
    with pytest.raises(InvalidInput) as caught:
        CommandSystem(Command(run=run), folder=tmp_path, environment=dict(os.environ))
    assert caught.value.message.startswith("system: ")
    assert str(tmp_path) not in caught.value.message


def test_a_shell_is_never_involved(tmp_path: Path) -> None:
    """What a shell would run stays a plain argument."""
    run = f"{shlex.quote(sys.executable)} -c pass ; touch owned"
    system = CommandSystem(Command(run=run), folder=tmp_path, environment=dict(os.environ))
    assert _failure(system.answer(tone(0)))[0] == "crashed"
    system.close()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("show", [True, False])
def test_standard_error_is_shown_on_request(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], *, show: bool
) -> None:
    """It may hold anything, so it is dropped unless it is asked for; answers are the same."""
    script = tmp_path / "program.py"
    script.write_text(
        f"{PRELUDE}\nfor r in requests():\n"
        "    print('CUDA is not there', file=sys.stderr, flush=True)\n"
        "    say(id=r['id'], text='heard')\n"
    )
    system = CommandSystem(
        Command(run=shlex.join([sys.executable, str(script)])),
        folder=tmp_path,
        environment=dict(os.environ),
        show_stderr=show,
    )
    answer = system.answer(tone(1))
    system.close()
    assert isinstance(answer, Answer)
    assert answer.text == "heard"
    assert capfd.readouterr().err == ("CUDA is not there\n" if show else "")


TALKING = """
import wave

def record(path, channels):
    with wave.open(path, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\\0\\1" * 16000 * channels)

def talk(question, **more):
    at, events = 600, []
    for entry in question["script"]:
        start, stop = entry["bounds_ms"]
        assert wave.open(entry["audio_filepath"]).getframerate() == question["sample_rate"]
        events.append({"t_ms": at + start, "kind": "user_speech_start", "turn": entry["turn"]})
        events.append({"t_ms": at + stop, "kind": "user_speech_stop", "turn": entry["turn"]})
        at += 5000
    say(id=question["id"], events=events, duration_ms=at, **more)

for number, question in enumerate(requests()):
    name = question["folder"] + "/talk.wav"
"""


def _talk(folder: Path) -> ConversationScript:
    entry = ScriptEntry(turn="u1", audio_filepath="a", when=When(after="start"))
    samples = np.full(16_000, 0.1, dtype="<f4").tobytes()
    return ConversationScript(
        id="t1",
        clips=(ScriptClip(entry=entry, samples=samples, bounds_ms=(100.0, 900.0)),),
        sample_rate=16_000,
        digest="d",
        folder=str(folder / "audio"),
    )


def _held(folder: Path, program: str) -> Answer | Failure:
    path = folder / "talks.py"
    path.write_text(PRELUDE + TALKING + program)
    system = CommandConversations(
        Command(run=shlex.join([sys.executable, str(path)]), timeout_s=10.0),
        folder=folder,
        environment=os.environ,
        keep=keep_recording,
    )
    try:
        return system.answer(_talk(folder))
    finally:
        system.close()


def test_a_program_holds_a_conversation(tmp_path: Path) -> None:
    """Its events are those of the record, and its recording is kept with the run."""
    answer = _held(tmp_path, "    record(name, 2); talk(question, audio=name)\n")
    assert isinstance(answer, Answer), answer
    assert [event.t_ms for event in answer.events] == [700.0, 1500.0]
    assert (answer.text, answer.latency_ms) == ("", None)
    samples, rate = read_recording(tmp_path / "audio" / str(answer.audio))
    assert (samples.shape, rate) == ((16_000, 2), 16_000)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("    record(name, 1); talk(question, audio=name)\n", "bad_audio"),
        ("    talk(question, audio=name)\n", "bad_audio"),
        ("    question['script'][0]['turn'] = 'u9'; talk(question)\n", "protocol"),
        ("    say(id=question['id'], events=[{'t_ms': -1, 'kind': 'final'}])\n", "protocol"),
        ("    say(id=question['id'], error='line_busy')\n", "reported"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_failure(
    tmp_path: Path, program: str, reason: str
) -> None:
    """With a reason, and nothing of it is kept."""
    answer = _held(tmp_path, program)
    assert isinstance(answer, Failure), answer
    assert answer.reason.value == reason
    assert not list(tmp_path.glob("audio/*"))
