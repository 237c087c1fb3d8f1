"""The demo agent as a system: a program of its own on a free port, for as long as it is asked."""

import re
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from relkit.conversation.types import ConversationScript
from relkit.core.errors import BackendUnavailable, describe_exit
from relkit.core.wording import limit
from relkit.datasets.types import Answer, Failure
from relkit.evaluation.ports import AnsweringSystem

READY_S = 120.0
"""How long the agent may take to load its models, in seconds."""

_END_S = 3.0
_ADDRESS = re.compile(r"ws://127\.0\.0\.1:\d+")


class AgentProgram:
    """A running agent; it ends when it is closed, and with this process, however that ends."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        ready_s: float = READY_S,
    ) -> None:
        """Start the program and wait until it listens; raises BackendUnavailable.

        It prints its address on a line of its standard output, and ends when its standard input
        does. What it writes to its standard error passes to ours.
        """
        self._program = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C is for the one who started it, who then closes it
        )
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._program.kill()

        timer = threading.Timer(ready_s, give_up)
        timer.start()
        try:
            line = self._program.stdout.readline() if self._program.stdout else b""
        finally:
            timer.cancel()
        address = _ADDRESS.search(line.decode("ascii", "replace"))
        if address is None:
            code = self.close()
            why = f"not in {limit(ready_s, 's')}" if late.is_set() else describe_exit(code)
            raise BackendUnavailable(
                f"the demo agent did not start: {why}", hint="try it: relkit agent demo"
            )
        self.url = address.group()
        """Where it listens: ``ws://127.0.0.1:PORT``."""

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._program.pid

    @property
    def ended(self) -> int | None:
        """The exit code of a program that has ended, None while it runs."""
        return self._program.poll()

    def close(self) -> int:
        """Close its input, wait a little, then kill it; return its exit code."""
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            return self._program.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            return self._program.wait()


class DemoAgentSystem:
    """Implements AnsweringSystem: an agent of its own, and who speaks to it at its address."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        connect: Callable[[str], AnsweringSystem[ConversationScript]],
    ) -> None:
        """Start the agent; ``connect`` makes who speaks to an address. Raises as AgentProgram."""
        self._arguments, self._environment, self._connect = arguments, environment, connect
        self._start()

    def answer(self, script: ConversationScript) -> Answer | Failure:
        """Hold a conversation; an agent that has ended since the last one is started anew."""
        if self._program.ended is not None:
            self.close()
            self._start()
        return self._speaker.answer(script)

    def close(self) -> None:
        """End the conversation, then the agent."""
        self._speaker.close()
        self._program.close()

    def _start(self) -> None:
        self._program = AgentProgram(self._arguments, self._environment)
        try:
            self._speaker = self._connect(self._program.url)
        except BaseException:
            self._program.close()
            raise
