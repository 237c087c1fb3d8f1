"""Programs that are run: what answers utterances by JSON lines, and what tests a release.

The protocol of answers is in docs/cli.md, section "Answers".
"""

import errno
import json
import os
import secrets
import selectors
import shlex
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from relkit.audio.samples import wav_bytes
from relkit.audio.types import WARM_UP, Script
from relkit.conversation.player import longest_s
from relkit.conversation.record import conversation_of
from relkit.conversation.types import ConversationScript, ScriptClip
from relkit.core.codec import encode, parse_json
from relkit.core.errors import BackendUnavailable, InvalidInput, UsageError, describe_exit
from relkit.core.wording import limit
from relkit.datasets.types import Answer, Clip, Failure, FailureReason
from relkit.evaluation.run_files import MAX_LINE, answer_from, parse_answer
from relkit.evaluation.types import Command
from relkit.registry.types import Release

GIVE_UP = 10
"""How often in a row a program may end or break the protocol before it has ever answered."""

CLOSE_S = 2.0
"""How long a program may take to end after its input is closed."""

MAX_CLIP = 64 << 20
"""The largest clip that a program may have spoken, in bytes."""

_BLOCK = 1 << 16
_BROKEN = (FailureReason.CRASHED, FailureReason.PROTOCOL)


class CommandSystem:
    """Implements SpeechSystem with a program that is started once and answers line by line.

    It gets ``{"id", "audio", "duration", "sample_rate"}`` (a token, an absolute path, s, Hz) on its
    standard input and answers with the same id; at the end of its input it should end. Its standard
    error is read and thrown away, as it may hold anything, unless it is asked for. No shell is
    involved. The first answer after a start has no latency unless the program measures itself:
    starting would be part of it.
    """

    def __init__(
        self,
        system: Command,
        *,
        folder: Path,
        environment: Mapping[str, str],
        show_stderr: bool = False,
    ) -> None:
        """Start the program in ``folder``; raises InvalidInput where that cannot be done.

        ``timeout_s`` bounds one answer; a program that misses it is killed with all it started.
        ``show_stderr`` lets what it writes to its standard error pass to ours.
        """
        self._show_stderr = show_stderr
        self._arguments = _arguments(system.run)
        self._timeout_s = system.timeout_s
        self._folder = folder
        # Buffered output is the usual reason why a Python program seems to answer nothing.
        self._environment = {"PYTHONUNBUFFERED": "1", **environment}
        self._broken = 0
        self._answered = False
        self._fresh = True
        self._program: _Program | None = self._start()
        self._clips = tempfile.TemporaryDirectory(prefix="relkit-clip-")

    def answer(self, clip: Clip) -> Answer | Failure:
        """Ask the program once; after a time-out, an end or a broken line it is started anew.

        Raises BackendUnavailable where it fails from the start, again and again.
        """
        return self._answer(
            {
                "audio": self._path_of(clip),
                "duration": clip.duration_s,
                "sample_rate": clip.sample_rate,
            }
        )

    def _answer(self, question: Mapping[str, object]) -> Answer | Failure:
        if self._program is None:
            self._program, self._fresh = self._start(), True
        token = secrets.token_hex(8)
        request = {"id": token, **question}
        started = time.perf_counter()
        outcome = self._ask(self._program, json.dumps(request).encode() + b"\n", token)
        if isinstance(outcome, Failure):
            return self._count(outcome)
        if outcome.clock != "system" or outcome.latency_ms is None:  # else by the program's clock
            latency_ms = None if self._fresh else (time.perf_counter() - started) * 1000
            outcome = replace(outcome, latency_ms=latency_ms, first_byte_ms=None, clock="harness")
        self._answered, self._fresh = True, False
        return outcome

    def close(self) -> None:
        """Close the program's input, wait a little, then kill its whole process group."""
        if self._program is not None:
            self._program.end(CLOSE_S)
            self._program = None
        self._clips.cleanup()

    def _start(self) -> "_Program":
        try:
            return _Program(
                self._arguments, self._folder, self._environment, show_stderr=self._show_stderr
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f'system: the program "{Path(self._arguments[0]).name}" cannot be started',
                hint="check system.run: the program's name, then its arguments",
            ) from error

    def _ask(self, program: "_Program", request: bytes, token: str) -> Answer | Failure:
        try:
            line = program.ask(request, time.monotonic() + self._timeout_s)
        except TimeoutError:
            self._stop(program)
            detail = f"no answer in {limit(self._timeout_s, 's')}"
            return Failure(reason=FailureReason.TIMEOUT, detail=detail, retryable=True)
        except EOFError:
            code = self._stop(program)
            return Failure(reason=FailureReason.CRASHED, detail=describe_exit(code), retryable=True)
        except OverflowError:
            self._stop(program)
            return Failure(reason=FailureReason.PROTOCOL, detail="a line of more than 1 MiB")
        try:
            echoed, outcome = self._parse(line.decode("utf-8"))
        except (InvalidInput, UnicodeDecodeError):
            self._stop(program)  # what else it may have written would be taken for later answers
            return Failure(reason=FailureReason.PROTOCOL, detail="a line that is no answer")
        if echoed != token:
            self._stop(program)
            return Failure(reason=FailureReason.PROTOCOL, detail="the answer to another id")
        return outcome

    def _parse(self, line: str) -> tuple[str, Answer | Failure]:
        return parse_answer(line, source="answer")

    def _stop(self, program: "_Program") -> int:
        self._program = None
        return program.end(0.0)

    def _count(self, failure: Failure) -> Failure:
        self._answered |= failure.reason not in {*_BROKEN, FailureReason.TIMEOUT}
        self._broken += failure.reason in _BROKEN
        if self._broken >= GIVE_UP and not self._answered:
            raise BackendUnavailable(
                f"the program of the system never answered: {failure.reason.value}, "
                f"{failure.detail}, {GIVE_UP} times",
                hint="--stderr shows what it writes to its standard error; it reads "
                '{"id", "audio"} and writes {"id", "text"}',
            )
        return failure

    def _path_of(self, clip: Clip) -> str:
        if clip.whole and Path(clip.path).is_file():
            return str(Path(clip.path).absolute())
        path = Path(self._clips.name) / "clip.wav"
        path.write_bytes(wav_bytes(clip.samples, clip.sample_rate))
        return str(path)


class CommandSpeech:
    """Implements SpeakingSystem with such a program.

    It gets ``{"id", "text", "folder"}`` and answers ``{"id", "audio"}``, the path of a file that it
    has written, to ``folder`` (which is removed at the end) or anywhere else; relative paths are
    below the workspace. With ``"clock": "system"`` its own ``latency_ms`` and ``first_byte_ms``
    count; else latency is ours, and when the first byte was there is not known.
    """

    def __init__(
        self,
        system: Command,
        *,
        folder: Path,
        environment: Mapping[str, str],
        keep: Callable[[str, bytes], str],
        show_stderr: bool = False,
    ) -> None:
        """Start the program; see :class:`CommandSystem`.

        ``keep`` puts a clip into a folder and returns its path inside the run.
        """
        self._program = _Speaking(
            system, folder=folder, environment=environment, show_stderr=show_stderr
        )
        self._folder = folder
        self._keep = keep

    def answer(self, script: Script) -> Answer | Failure:
        """Ask the program once and keep its clip in the script's folder."""
        answer = self._program.say(script.text)
        if isinstance(answer, Failure):
            return answer
        if answer.audio is None:
            return Failure(reason=FailureReason.NO_SPEECH, detail="an answer without audio")
        try:
            data = _regular_file(self._folder / answer.audio)
        except OSError as error:
            return Failure(reason=FailureReason.BAD_AUDIO, detail=type(error).__name__)
        return replace(answer, text="", audio=self._keep(script.folder, data))

    def close(self) -> None:
        """End the program."""
        self._program.close()


class _Speaking(CommandSystem):
    """The program as it is asked to speak."""

    def say(self, text: str) -> Answer | Failure:
        fresh, started = self._program is None or self._fresh, time.perf_counter()
        answer = self._answer({"text": text, "folder": self._clips.name})
        if not fresh or isinstance(answer, Failure):
            return answer
        measured_ms = answer.latency_ms if answer.clock == "system" else None
        took_ms = (time.perf_counter() - started) * 1000 if measured_ms is None else measured_ms
        usage = {**answer.usage, WARM_UP: took_ms}
        return replace(answer, latency_ms=None, first_byte_ms=None, usage=usage)

    def _parse(self, line: str) -> tuple[str, Answer | Failure]:
        document = parse_json(line, source="answer")
        if isinstance(document, Mapping) and "audio" in document:
            document = {"text": "", **document}
        return answer_from(document, source="answer")


class CommandConversations:
    """Implements AnsweringSystem with a program that holds conversations by itself.

    It gets ``{"id", "script", "sample_rate", "folder"}``, with noise or echo also ``"acoustics"``
    and ``"noise"``, and answers with a record of the conversation (docs/conversations.md, section
    "A program"). Clips are files of its own for as long as it is asked.
    """

    def __init__(
        self,
        system: Command,
        *,
        folder: Path,
        environment: Mapping[str, str],
        keep: Callable[[Path, Path], str],
        show_stderr: bool = False,
    ) -> None:
        """Start the program; see :class:`CommandSystem`.

        ``keep`` copies a stereo recording into a folder and returns its name there; it raises
        InvalidInput where it is none. A conversation may take ``timeout_s`` besides what its script
        takes.
        """
        self._program = _Conversing(
            system, folder=folder, environment=environment, show_stderr=show_stderr
        )
        self._timeout_s, self._folder, self._keep = system.timeout_s, folder, keep

    def answer(self, script: ConversationScript) -> Answer | Failure:
        """Have one conversation held, and keep its recording in the script's folder."""
        answer = self._program.hold(script, self._timeout_s + longest_s(script))
        if isinstance(answer, Failure):
            return answer
        try:
            conversation_of(answer, id=script.id, script=[clip.entry for clip in script.clips])
        except ValueError:
            detail = "a record that contradicts its script or itself"
            return Failure(reason=FailureReason.PROTOCOL, detail=detail)
        if answer.audio is None:
            return answer
        try:
            kept = self._keep(self._folder / answer.audio, Path(script.folder))
        except (InvalidInput, OSError) as error:
            return Failure(reason=FailureReason.BAD_AUDIO, detail=type(error).__name__)
        return replace(answer, audio=kept)

    def close(self) -> None:
        """End the program."""
        self._program.close()


class _Conversing(CommandSystem):
    """The program as it is asked to hold a conversation."""

    def hold(self, script: ConversationScript, timeout_s: float) -> Answer | Failure:
        self._timeout_s = timeout_s
        question: dict[str, object] = {
            "script": [
                self._entry(clip, i, script.sample_rate) for i, clip in enumerate(script.clips)
            ],
            "sample_rate": script.sample_rate,
            "folder": self._clips.name,
        }
        if script.acoustics is not None:
            question["acoustics"] = encode(replace(script.acoustics, noise=None))
        if script.noise is not None:
            question["noise"] = self._file("noise", script.noise, script.sample_rate)
        answer = self._answer(question)
        if isinstance(answer, Failure):
            return answer
        return replace(answer, latency_ms=None, first_byte_ms=None)  # of a whole conversation

    def _entry(self, clip: ScriptClip, number: int, rate: int) -> dict[str, object]:
        path = self._file(f"entry-{number}", clip.samples, rate)
        return {**encode(clip.entry), "audio_filepath": path, "bounds_ms": list(clip.bounds_ms)}

    def _file(self, name: str, samples: bytes, rate: int) -> str:
        path = Path(self._clips.name) / f"{name}.wav"
        path.write_bytes(wav_bytes(samples, rate))
        return str(path)

    def _parse(self, line: str) -> tuple[str, Answer | Failure]:
        document = parse_json(line, source="answer")
        if isinstance(document, Mapping) and "error" not in document:
            document = {"text": "", **document}
        return answer_from(document, source="answer")


def _regular_file(path: Path) -> bytes:
    """Return the bytes of a file; raises OSError, also for pipes, devices and huge files."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_CLIP:
        raise OSError(errno.EFBIG, "no regular file of at most 64 MiB")
    return path.read_bytes()


class _Program:
    """A running program, its pipes, and what it has written but nobody has read."""

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        show_stderr: bool,
    ) -> None:
        # A session of its own: a kill reaches everything the program has started, and Ctrl-C,
        # which a terminal sends to its whole group, is ours to handle.
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if show_stderr else subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            bufsize=0,
            start_new_session=True,
        )
        self._rest = bytearray()
        self._selector = selectors.DefaultSelector()
        self._output, self._errors = self._process.stdout, self._process.stderr
        for stream in (self._output, self._errors):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ)

    def ask(self, request: bytes, deadline: float) -> bytes:
        """Write a line and return the next one.

        Raises TimeoutError, EOFError where the program has ended, OverflowError for a long line.
        """
        if self._process.stdin is None:
            raise EOFError
        with suppress(BrokenPipeError):  # then its output has ended, too, and says so
            self._process.stdin.write(request)
        return self._line(deadline)

    def end(self, grace_s: float) -> int:
        """End the program and everything it started; return its exit code (or -signal)."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            # A program that is at its end needs a moment to say how: a crash is no kill of ours.
            self._process.wait(grace_s or 0.05)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._selector.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code

    def _line(self, deadline: float) -> bytes:
        scanned = 0
        while (end := self._rest.find(b"\n", scanned)) < 0:
            scanned = len(self._rest)
            if scanned > MAX_LINE:
                raise OverflowError
            self._read(deadline)
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _read(self, deadline: float) -> None:
        """Wait for output until the deadline; standard error is drained and dropped."""
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        for key, _ in self._selector.select(remaining_s):
            data = os.read(key.fd, _BLOCK)
            if not data:
                self._selector.unregister(key.fileobj)
            if key.fileobj is self._output:
                if not data:
                    raise EOFError
                self._rest += data


def _arguments(run: str) -> list[str]:
    try:
        arguments = shlex.split(run)
    except ValueError:
        arguments = []
    if not arguments:
        raise InvalidInput(
            "system: run is no command line", hint="quote its arguments as in a shell"
        )
    return arguments


_TERM_S = 2.0
"""How long a command may take to end after SIGTERM."""

_STDERR = 2


class ShellessCommand:
    """Implements ReleaseCommand: the release is named in the environment.

    ``RELKIT_MODEL`` and ``RELKIT_VERSION`` name it, ``RELKIT_RELEASE`` is the path of its
    release.json, ``RELKIT_SLICE`` the failing slice where one was named. What the command prints
    goes to stderr, so that stdout holds the result only.
    """

    def __init__(
        self,
        command: str,
        *,
        folder: Path,
        environment: Mapping[str, str],
        release_path: Callable[[str, str], Path],
        timeout_s: float | None,
    ) -> None:
        """Split the command line as a shell would; raises UsageError where it is none."""
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--run is no command line: {error}", hint="check quotes") from error
        if not self._arguments:
            raise UsageError("--run is empty", hint='for example --run "./check-release"')
        self._folder = folder
        self._environment = environment
        self._release_path = release_path
        self._timeout_s = timeout_s

    def run(self, release: Release) -> int | None:
        """Run it in the workspace and return its exit code, below 0 for a signal.

        None where it took too long. Whatever ends the wait, everything it started is ended, too.
        Raises InvalidInput where it cannot be started.
        """
        program = self._start(release)
        try:
            return program.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if program.poll() is None:
                _signal(program, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    program.wait(_TERM_S)
            _signal(program, signal.SIGKILL)  # also what a finished command has left running
            program.wait()

    def _start(self, release: Release) -> "subprocess.Popen[bytes]":
        named = {
            "RELKIT_MODEL": release.model,
            "RELKIT_VERSION": release.version,
            "RELKIT_RELEASE": str(self._release_path(release.model, release.version)),
        }
        try:
            # A session of its own: a kill reaches all it has started, and Ctrl-C is ours to handle.
            return subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                cwd=self._folder,
                env={**self._environment, **named},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f'--run: the program "{Path(self._arguments[0]).name}" cannot be started',
                hint="it is run in the workspace, without a shell; for one: --run \"sh -c '…'\"",
            ) from error


def _signal(program: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)
