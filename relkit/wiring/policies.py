"""Reads gate policies of a workspace, with the policies of their parts."""

from dataclasses import replace
from pathlib import Path

from relkit.core import storage
from relkit.core.codec import decode, nearest
from relkit.core.config import Settings
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown, where
from relkit.gate.lint import lint
from relkit.gate.policies import parse_policy, policy_digest
from relkit.gate.types import GatePolicy

_ENDINGS = (".yaml", ".yml")


def read_policy(settings: Settings, name_or_path: str) -> tuple[GatePolicy, dict[str, GatePolicy]]:
    """Return a policy by its name in the gates folder, or by path, and the policies of its parts.

    The digest of a policy with parts covers theirs. Raises UsageError for an unknown policy,
    InvalidInput for one that is refused, and for a part that has parts itself.
    """
    if name_or_path.endswith(_ENDINGS):
        path = Path(name_or_path)
        if not path.is_file():
            raise _unknown(settings, path.stem, "policy")
        policy = _read(path)
    else:
        policy = _named(settings, name_or_path)
    parts = {part: _part(settings, policy, part, name) for part, name in policy.parts.items()}
    return replace(policy, digest=policy_digest(policy, parts)), parts


def _part(settings: Settings, policy: GatePolicy, part: str, name: str) -> GatePolicy:
    found = _named(settings, name, what=f'{policy.source}: part "{part}": policy')
    if found.parts:
        raise InvalidInput(
            f'{policy.source}: part "{part}": the policy "{found.name}" has parts itself',
            hint="name the policy of one run",
        )
    return found


def _named(settings: Settings, name: str, *, what: str = "policy") -> GatePolicy:
    path = settings.gates / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        raise _unknown(settings, name, what)
    policy = _read(path)
    if policy.name != name:
        raise InvalidInput(
            f'{policy.source}: is called "{shown(policy.name)}"', hint=f'write "name: {name}"'
        )
    return policy


def _read(path: Path) -> GatePolicy:
    source = path.name
    text = decode(storage.read_bytes(path, what=source), source=source)
    policy = parse_policy(text, source=source)
    for finding in lint(policy):
        if finding.severity == "refuse":
            at = where(source, finding.line)
            raise InvalidInput(f'{at}: rule "{finding.rule}": {finding.message}', hint=finding.hint)
    return policy


def _unknown(settings: Settings, name: str, what: str) -> UsageError:
    known = tuple(sorted(found.stem for found in settings.gates.glob("*.yaml")))
    hint = nearest(name, known) or "write one in gates/, or: relkit init"
    return UsageError(f'no {what} "{shown(name)}"', hint=hint)
