# ruff: noqa: INP001 - a script beside its action, no package
"""Whether a gate's decision lets a candidate go; says so to the steps and jobs that follow.

``python3 check_decision.py EXIT_CODE DOCUMENT DECISION CANDIDATE`` leaves with 0 only where relkit
left with 0, its ``--json`` document and the decision file are there and agree, both are about the
candidate that was asked for, and the verdict is ``pass`` (or the policy is a shadow, which blocks
nothing and promotes nothing). Everything else, whatever it is, blocks. Standard library only.
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

from error_of import error_of

VERDICTS = ("pass", "fail", "error", "no_data", "inconclusive")
STANCES = ("enforce", "shadow")
PREDICATE = "urn:relkit:gate-decision:v1"
PAYLOAD = "application/vnd.in-toto+json"


class Blocked(Exception):
    """Why a candidate may not go."""


def read_json(path: str, what: str) -> Any:  # noqa: ANN401 - any document
    """Return a strict JSON document; raises Blocked."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise Blocked(f"there is no {what}") from None
    try:
        return json.loads(data, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Blocked(f"the {what} is no JSON document") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def read_predicate(path: str) -> dict[str, Any]:
    """Return what the decision file states; raises Blocked. Signatures are ``relkit verify``'s."""
    envelope = read_json(path, "decision file")
    try:
        if envelope["payloadType"] != PAYLOAD:
            raise Blocked("the decision file is no in-toto statement")
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement = json.loads(payload, parse_constant=_no_constant, object_pairs_hook=_once)
        if statement["predicateType"] != PREDICATE:
            raise Blocked("the decision file is no gate decision")
        predicate: dict[str, Any] = statement["predicate"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise Blocked("the decision file cannot be read") from None
    return predicate


def told(document: dict[str, Any], predicate: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return what both say about the same, as (name, in the document, in the decision file)."""
    ours, theirs = document["policy"], predicate["policy"]
    return [
        ("verdict", document["verdict"], predicate["verdict"]),
        ("enforcement", document["enforcement"], theirs["enforcement"]),
        ("policy", ours["digest"], theirs["digest"]),
        ("serial", document["serial"], predicate["serial"]),
        ("candidate", candidates(document), candidates(predicate)),
    ]


def candidates(stated: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return (run, settings, artifact) of every candidate that was judged."""
    runs = [part["candidate"] for part in stated["parts"]]
    return [(run["run"], run["candidate"], run["artifact"]) for run in runs]


def not_asked_for(stated: dict[str, Any], wanted: str) -> bool:
    """Tell whether the parts are not exactly those wanted: ``RUN``, or lines of ``PART=RUN``."""
    asked = {}
    for line in wanted.split():
        part, _, run = line.rpartition("=")
        asked[part or None] = Path(run).name
    judged = {part["name"]: part["candidate"]["run"] for part in stated["parts"]}
    if not asked or asked.keys() != judged.keys():
        return True
    return any(not name or not judged[part].startswith(name) for part, name in asked.items())


def check(code: int, document: Any, predicate: dict[str, Any], wanted: str) -> None:  # noqa: ANN401 - as read
    """Raise Blocked unless the candidate may go."""
    try:
        stated = told(document, predicate)
        others = not_asked_for(document, wanted)
    except (KeyError, TypeError):
        raise Blocked("the decision lacks what every decision has") from None
    for name, ours, theirs in stated:
        if ours != theirs:
            raise Blocked(f"the decision file is another decision: its {name} differs")
    if others:
        raise Blocked("the decision is about another candidate")
    if code != 0:
        raise Blocked(f"relkit left with {code}")
    if document["verdict"] not in VERDICTS or document["enforcement"] not in STANCES:
        raise Blocked("the decision holds a word that is not known")
    if document["enforcement"] == "enforce" and document["verdict"] != "pass":
        raise Blocked(f"the verdict is {document['verdict']}")


def write_outputs(**values: str) -> None:
    """Tell the steps and jobs that follow; every value is one of a few known words."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())


def main(code: int, document_path: str, decision_path: str, candidate: str) -> int:
    """Write the outputs and return the exit code: 0 lets the candidate go."""
    verdict, enforcement = "error", "unknown"
    document = None
    try:
        document = read_json(document_path, "answer of relkit")
        if isinstance(document, dict):
            verdict = next((v for v in VERDICTS if v == document.get("verdict")), "error")
            enforcement = next((s for s in STANCES if s == document.get("enforcement")), "unknown")
        check(code, document, read_predicate(decision_path), candidate)
    except Blocked as reason:
        # The reason holds only words of this file: a runner reads what is printed as commands.
        sys.stderr.write(f"::error title=relkit gate::blocked: {reason}\n")
        if error := error_of(document):
            sys.stderr.write(f"::error title=relkit::{error}\n")
        if verdict == "pass":
            verdict = "error"
        write_outputs(verdict=verdict, enforcement=enforcement, allows="false")
        return code if code in range(1, 256) else 1
    write_outputs(verdict=verdict, enforcement=enforcement, allows="true")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:5]))
