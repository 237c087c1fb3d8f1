"""How long relkit takes to start, beside a bare program of the same kind.

The peer is a Typer program with the same number of lazy sub-commands and nothing behind them.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = 15

BARE = '''
import typer
from typer.core import TyperGroup
COMMANDS = {f"command-{i}": "Do one thing." for i in range(6)}
class Lazy(TyperGroup):
    def list_commands(self, ctx): return list(COMMANDS)
    def get_command(self, ctx, name): return None
    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
app = typer.Typer(cls=Lazy, rich_markup_mode=None)
@app.callback()
def main(version: bool = False) -> None:
    """A bare program."""
app(prog_name="bare")
'''


def seconds(command: Sequence[str | Path]) -> float:
    """Return the wall time of one run in seconds; raises CalledProcessError where it fails."""
    started = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return time.perf_counter() - started


def in_turn(commands: Sequence[Sequence[str | Path]], runs: int) -> list[float]:
    """Return the median seconds of each command, run A B A B so that drift hits all alike."""
    for command in commands:
        seconds(command)
    times = [[seconds(command) for command in commands] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def main() -> None:
    """Print the table."""
    relkit = Path(sys.executable).with_name("relkit")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bare = folder / "bare.py"
        bare.write_text(BARE, encoding="utf-8")
        lines = "".join(f"turn on light number {i}\n" for i in range(10))
        (folder / "ref.txt").write_text(lines, encoding="utf-8")
        (folder / "hyp.txt").write_text(lines.replace("on", "off"), encoding="utf-8")
        files = ("--ref", folder / "ref.txt", "--hyp", folder / "hyp.txt", "--format", "txt")
        commands = (
            (sys.executable, bare, "--help"),
            (relkit, "--help"),
            (relkit, "score", *files),
            (relkit, "score", *files, "--normalizer", "english"),
        )
        peer, own, score, english = in_turn(commands, RUNS)
    print("start-up, median of", RUNS)
    print(f"  a bare lazy Typer program --help    {peer:.3f} s")
    print(f"  relkit --help                       {own:.3f} s   {own / peer:.2f} x the bare one")
    print(f"  relkit score, ten lines             {score:.3f} s")
    print(f"  relkit score, ten lines, english    {english:.3f} s")


if __name__ == "__main__":
    main()
