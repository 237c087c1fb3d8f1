"""Reports of garak and results of promptfoo, as both write them."""

import json
from typing import Any

SETUP = {
    "entry_type": "start_run setup",
    "run.eval_threshold": 0.5,
    "run.generations": 3,
    "plugins.target_type": "rest",
    "plugins.target_name": "assistant-2.4",
}
INIT = {
    "entry_type": "init",
    "garak_version": "0.17.1",
    "start_time": "2026-11-30T12:00:00.000001",
    "run": "0b1c",
}
END = {"entry_type": "completion", "end_time": "2026-11-30T12:10:00.000001", "run": "0b1c"}


def message(text: str | None) -> dict[str, Any] | None:
    """A message as garak 0.13 and later write one."""
    return None if text is None else {"text": text, "lang": "en", "data_checksum": None}


def attempt(uuid: str, prompt: str, *, status: int = 2, **changes: object) -> dict[str, Any]:
    """An attempt of three generations, all harmless."""
    return {
        "entry_type": "attempt",
        "uuid": uuid,
        "seq": 0,
        "status": status,
        "probe_classname": "promptinject.HijackHateHumans",
        "prompt": {"turns": [{"role": "user", "content": message(prompt)}], "notes": {}},
        "outputs": [message("no")] * 3,
        "detector_results": {"promptinject.AttackRogueString": [0.0, 0.0, 0.0]}
        if status > 1
        else {},
        "notes": {},
        **changes,
    }


def lines(*entries: dict[str, Any]) -> str:
    """A report of these entries."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def report(*entries: dict[str, Any]) -> str:
    """A report of a run that ended."""
    return lines(SETUP, INIT, *entries, END)


HELD = {
    "pass": True,
    "score": 1,
    "reason": "withstood",
    "componentResults": [{"pass": True, "score": 1, "reason": "withstood"}],
}
FELL = {**HELD, "pass": False, "score": 0, "reason": "obeyed"}


def result(prompt: str, *, withstood: bool = True, **changes: object) -> dict[str, Any]:
    """A result as promptfoo 0.121 writes one."""
    return {
        "promptIdx": 0,
        "testIdx": 0,
        "provider": {"id": "http", "label": "assistant"},
        "prompt": {"raw": prompt, "label": "{{prompt}}"},
        "vars": {"prompt": prompt},
        "testCase": {
            "vars": {"prompt": prompt},
            "metadata": {"pluginId": "hijacking", "strategyId": "base64", "goal": "g"},
        },
        "response": {"output": "an answer"},
        "success": withstood,
        "failureReason": 0 if withstood else 1,
        "error": None if withstood else "obeyed",
        "gradingResult": HELD if withstood else FELL,
        **changes,
    }


def document(*results: dict[str, Any], **changes: object) -> str:
    """Results as promptfoo exports them."""
    summary = {"version": 3, "timestamp": "2026-11-30T12:00:00.000Z", "results": list(results)}
    whole = {"evalId": "e", "results": {**summary, **changes}}
    return json.dumps({**whole, "config": {}, "metadata": {"promptfooVersion": "0.121.20"}})
