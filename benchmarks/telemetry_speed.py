"""``telemetry import`` of OTLP JSON beside ``json.loads`` over the same lines.

The traces are pipecat's with every attribute that it writes: settings of the services, the model's
context and tools. Both read the same file in processes of their own, in turn; CPU seconds of the
whole process less those of starting it, and peak memory.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

CALLS = 4_000
TURNS = 8
RUNS = 3
SPANS_A_LINE = 16

_START = 1_790_000_000_000_000_000
_SECOND = 1_000_000_000
_STT = ("encoding", "sample_rate", "interim_results", "smart_format", "punctuate", "endpointing")
_LLM = ("temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty", "seed")
_TTS = ("speed", "emotion", "container", "sample_rate", "encoding", "language")
_PROMPT = "You are a helpful assistant on the phone. Answer in one or two short sentences. " * 8
_TOOLS = json.dumps([{"name": "lookup", "parameters": {"type": "object"}}] * 3)

_JSON_LOADS = "import json,sys\nfor line in open(sys.argv[1], 'rb'): json.loads(line)\n"
_IMPORT = (
    "import sys\nfrom relkit.__main__ import main\n"
    "sys.argv = ['relkit', 'telemetry', 'import', sys.argv[1], '--to', sys.argv[2], '--quiet']\n"
    "main()\n"
)


def _span(
    trace: str, own_id: str, parent: str, name: str, start: int, end: int, values: dict[str, object]
) -> dict[str, Any]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {
        "traceId": trace,
        "spanId": own_id,
        "parentSpanId": parent,
        "flags": 256,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": [
            {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
            for key, value in values.items()
        ],
        "status": {},
    }


def call(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the spans of one conversation as pipecat's tracing writes them."""
    trace, whole = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(64):016x}"
    start = _START + rng.randrange(86_400) * _SECOND
    context: list[dict[str, str]] = [{"role": "system", "content": _PROMPT}]
    for number in range(TURNS):
        turn, *ids = (f"{rng.getrandbits(64):016x}" for _ in range(4))
        at = start + number * 10 * _SECOND
        said, answer = "what about my booking on friday " * 2, "Your booking is at noon. " * 4
        context += [{"role": "user", "content": said}]
        delays = [round(rng.lognormvariate(-1.3, 0.4), 4) for _ in range(3)]
        service = {"gen_ai.operation.name": "stt", "gen_ai.output.type": "text"}
        yield _span(
            trace,
            ids[0],
            turn,
            "stt",
            at,
            at + 200_000,
            {
                "gen_ai.provider.name": "deepgram",
                "gen_ai.request.model": "nova-3",
                **service,
                "vad_enabled": False,
                "transcript": said,
                "is_final": True,
                "language": rng.choice(["en", "de", "hi"]),
                "metrics.ttfb": delays[0],
                **{f"settings.{name}": "value" for name in _STT},
            },
        )
        yield _span(
            trace,
            ids[1],
            turn,
            "llm",
            at,
            at + _SECOND,
            {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.operation.name": "chat",
                "gen_ai.output.type": "text",
                "stream": True,
                "input": json.dumps(context),
                "output": answer,
                "tools": _TOOLS,
                "tool_count": 3,
                "gen_ai.system_instructions": _PROMPT,
                **{f"gen_ai.request.{name}": 1.0 for name in _LLM},
                "metrics.ttfb": delays[1],
                "gen_ai.usage.input_tokens": 400 + 60 * number,
                "gen_ai.usage.output_tokens": 40,
                "gen_ai.usage.cache_read_input_tokens": 300,
            },
        )
        yield _span(
            trace,
            ids[2],
            turn,
            "tts",
            at,
            at + 2 * _SECOND,
            {
                "gen_ai.provider.name": "cartesia",
                "gen_ai.request.model": "sonic-2",
                "gen_ai.operation.name": "tts",
                "gen_ai.output.type": "speech",
                "voice_id": trace,
                "text": answer,
                "metrics.character_count": len(answer),
                "metrics.ttfb": delays[2],
                **{f"settings.{name}": "value" for name in _TTS},
            },
        )
        yield _span(
            trace,
            turn,
            whole,
            "turn",
            at,
            at + 3 * _SECOND,
            {
                "turn.number": number + 1,
                "turn.type": "conversation",
                "conversation.id": trace,
                "turn.user_bot_latency_seconds": sum(delays) + 0.1,
                "turn.user_turn_seconds": delays[0] + 0.05,
                "turn.duration_seconds": 3.0,
                "turn.was_interrupted": False,
            },
        )
        context += [{"role": "assistant", "content": answer}]
    end = start + TURNS * 10 * _SECOND
    yield _span(trace, whole, "", "conversation", start, end, {"conversation.id": trace})


def write(path: Path, calls: int, rng: random.Random) -> int:
    """Write traces as the collector's file exporter does, calls mixed; return the spans."""
    resource = {
        "attributes": [
            {"key": "service.name", "value": {"stringValue": "bot"}},
            {"key": "service.version", "value": {"stringValue": "1.4.0"}},
        ]
    }
    spans = 0
    with path.open("w", encoding="utf-8") as file:
        for _ in range(0, calls, 8):
            batch = [span for _ in range(8) for span in call(rng)]
            batch.sort(key=lambda span: str(span["endTimeUnixNano"]))
            spans += len(batch)
            for at in range(0, len(batch), SPANS_A_LINE):
                scope = {"scope": {"name": "pipecat"}, "spans": batch[at : at + SPANS_A_LINE]}
                line = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return spans


def cost(command: list[str], folder: Path) -> tuple[float, float]:
    """Return CPU seconds and peak MB of a process; raises CalledProcessError where it fails."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        small, large = folder / "small.jsonl", folder / "large.jsonl"
        write(small, 1, random.Random(1))  # noqa: S311 - no secret
        spans = write(large, calls, random.Random(2))  # noqa: S311 - no secret
        (folder / "relkit.yaml").write_text("schema: relkit.workspace/v1\nname: bench\n")
        loads = [sys.executable, "-c", _JSON_LOADS]
        imports = [sys.executable, "-c", _IMPORT]
        out = str(folder / "turns.parquet")
        cost([*imports, str(small), out], folder)
        runs: dict[str, list[tuple[float, float]]] = {}
        for _ in range(RUNS):
            for file in (small, large):
                runs.setdefault(f"loads {file.stem}", []).append(cost([*loads, str(file)], folder))
                runs.setdefault(f"import {file.stem}", []).append(
                    cost([*imports, str(file), out], folder)
                )
        size = large.stat().st_size / 1e6
    seconds = {name: median(second for second, _ in both) for name, both in runs.items()}
    memory = {name: max(peak for _, peak in both) for name, both in runs.items()}
    baseline = seconds["loads large"] - seconds["loads small"]
    work = seconds["import large"] - seconds["import small"]
    print(f"{spans:,} spans of {calls * TURNS:,} turns, {size:,.0f} MB; median of {RUNS}")
    print(f"  json.loads over the lines      {baseline:6.2f} s CPU")
    print(f"  relkit telemetry import        {work:6.2f} s CPU  {work / baseline:.2f} x")
    print(f"  with start-up                  {seconds['import large']:6.2f} s CPU")
    print(f"  peak memory                    {memory['import large']:6.0f} MB", end="")
    print(f"  (json.loads {memory['loads large']:.0f} MB)")


if __name__ == "__main__":
    main()
