"""Suites, normalizers and policies of a workspace: YAML files, found by name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from relkit.core import storage
from relkit.core.codec import decode, nearest
from relkit.core.digests import digest_of
from relkit.core.errors import InvalidInput, UsageError
from relkit.core.yaml_text import shown, where

if TYPE_CHECKING:  # what a command does not read costs it no start-up
    from relkit.evaluation.types import Suite
    from relkit.gate.types import GatePolicy
    from relkit.safety.tool_files import ToolFile
    from relkit.scoring.normalizers import Step
    from relkit.scoring.types import Normalizer


_ENDINGS = (".yaml", ".yml")
_TOOLS = "schema: relkit.tools/v1"


class MonitorPolicy(Protocol):
    """A policy of live traffic; its file in the workspace is called as it is."""

    @property
    def name(self) -> str:
        """What the policy is called."""


MonitorPolicyT = TypeVar("MonitorPolicyT", bound=MonitorPolicy)
MonitorPolicyT_co = TypeVar("MonitorPolicyT_co", bound=MonitorPolicy, covariant=True)


class ParsePolicy(Protocol[MonitorPolicyT_co]):
    """Reads one kind of policy."""

    def __call__(self, text: str, *, source: str) -> MonitorPolicyT_co:
        """Return the policy of a YAML text; raises InvalidInput with file and line."""


class SuiteFiles:
    """The suites of a workspace."""

    def __init__(self, folder: Path) -> None:
        """Use the folder of suites."""
        self._folder = folder

    def read(self, name: str, system: tuple[str, ...] = ()) -> "Suite":
        """Return a suite by its name, or by path; raises UsageError, InvalidInput.

        ``system`` changes options of the system: ``KEY=VALUE``.
        """
        from relkit.evaluation.suites import parse_suite

        path = Path(name) if name.endswith(_ENDINGS) else self._folder / f"{name}.yaml"
        if not path.is_file():
            hint = nearest(name, self.names()) or "make one, or: relkit init"
            raise UsageError(f'no suite "{shown(name)}"', hint=hint)
        suite = parse_suite(_text(path, path.name), source=path.name, system=system)
        _check_name(suite.name, path)
        return suite

    def tools(self, name: str, suite: "Suite") -> "ToolFile":
        """Return the tools of an agent's suite: the file beside it; raises InvalidInput.

        ``name`` is how the suite was named, by its name or its path.
        """
        from relkit.safety.tool_files import parse_tools

        folder = Path(name).parent if name.endswith(_ENDINGS) else self._folder
        path = folder / str(suite.tools)
        if not path.is_file():
            raise InvalidInput(
                f'{suite.name}: "tools": there is no {path.name} beside the suite',
                hint="write the tools of the agent there (docs/safety.md)",
            )
        return parse_tools(_text(path, path.name), source=path.name)

    def names(self) -> tuple[str, ...]:
        """Return the names of all suites, sorted; the tables of tools among them are none."""
        paths = [self._folder / f"{name}.yaml" for name in _names(self._folder)]
        return tuple(path.stem for path in paths if _TOOLS not in _text(path, path.name))

    def write(self, name: str, text: str) -> None:
        """Write a suite's file; raises StorageFailed."""
        storage.write_text(self._folder / f"{name}.yaml", text)


class NormalizerFiles:
    """The built-in normalizers, and those of a workspace where there is one."""

    def __init__(self, folder: Path | None, steps: "Callable[[], Mapping[str, Step]]") -> None:
        """Use the folder of normalizers; ``steps`` loads those that need an outside library."""
        self._folder = folder
        self._steps = steps

    def read(self, name: str, digest: str | None = None) -> "Normalizer":
        """Return a normalizer by its name; raises UsageError, InvalidInput.

        With a digest, that of an old run, the version of a built-in one that has it; else today's.
        """
        from relkit.scoring.normalizers import BUILT_IN, PURE_STEPS, built_in, parse_normalizer

        if digest is not None:
            versions = [key for key in BUILT_IN if key.partition("@")[0] == name]
            same = (item for item in map(self.read, versions) if item.digest == digest)
            return next(same, None) or self.read(name)
        if set(BUILT_IN.get(name, ("",))) <= set(PURE_STEPS):
            return built_in(name, PURE_STEPS, digest_of)
        available = {**PURE_STEPS, **self._steps()}
        if name in BUILT_IN:
            return built_in(name, available, digest_of)
        folder = self._folder
        path = None if folder is None else folder / f"{name}.yaml"
        if path is None or Path(name).name != name or not path.is_file():
            names = () if folder is None else _names(folder)
            raise UsageError(
                f'unknown normalizer "{shown(name)}"', hint=nearest(name, (*BUILT_IN, *names))
            )
        source = f"normalizers/{path.name}"
        return parse_normalizer(_text(path, source), source=source, available=available)


class PolicyFiles:
    """The gate policies of a workspace, with the policies of their parts."""

    def __init__(self, folder: Path) -> None:
        """Use the folder of policies."""
        self._folder = folder

    def read(self, name: str) -> "tuple[GatePolicy, dict[str, GatePolicy]]":
        """Return a policy by its name, or by path, and the policies of its parts.

        The digest of a policy with parts covers theirs. Raises UsageError for an unknown policy,
        InvalidInput for one that is refused, and for a part that has parts itself.
        """
        from relkit.gate.policies import policy_digest

        if not name.endswith(_ENDINGS):
            policy = self._named(name, "policy")
        elif Path(name).is_file():
            policy = _policy(Path(name))
        else:
            raise self._unknown(Path(name).stem, "policy")
        parts = {}
        for part, named in policy.parts.items():
            at = f'{policy.source}: part "{part}": '
            parts[part] = self._named(named, f"{at}policy")
            if parts[part].parts:
                raise InvalidInput(
                    f'{at}the policy "{named}" has parts itself',
                    hint="name the policy of one run",
                )
        return replace(policy, digest=policy_digest(policy, parts)), parts

    def names(self) -> tuple[str, ...]:
        """Return the names of all policies, those of live traffic included, sorted."""
        return _names(self._folder)

    def text(self, name: str) -> str | None:
        """Return the text of a policy's file, None where there is none."""
        path = self._folder / f"{name}.yaml"
        return _text(path, path.name) if path.is_file() else None

    def write(self, name: str, text: str) -> None:
        """Write a policy's file; raises StorageFailed."""
        storage.write_text(self._folder / f"{name}.yaml", text)

    def _named(self, name: str, what: str) -> "GatePolicy":
        path = self._folder / f"{name}.yaml"
        if Path(name).name != name or not path.is_file():
            raise self._unknown(name, what)
        policy = _policy(path)
        _check_name(policy.name, path)
        return policy

    def _unknown(self, name: str, what: str) -> UsageError:
        hint = nearest(name, _names(self._folder)) or "write one in gates/, or: relkit init"
        return UsageError(f'no {what} "{shown(name)}"', hint=hint)


class MonitorFiles:
    """The policies of live traffic of a workspace: canaries, drift, cost, service levels, health.

    They lie beside the gate policies; the ``schema`` inside says which kind a file is.
    """

    def __init__(self, folder: Path) -> None:
        """Use the folder of policies."""
        self._folder = folder

    def read(self, name: str, parse: ParsePolicy[MonitorPolicyT]) -> MonitorPolicyT:
        """Return a policy by its name, or by path (``NAME.yaml``), as ``parse`` reads it.

        Raises UsageError for an unknown one, InvalidInput for one that is refused.
        """
        by_path = name.endswith(_ENDINGS)
        path = Path(name) if by_path else self._folder / f"{name}.yaml"
        if not path.is_file() or (not by_path and Path(name).name != name):
            plain = Path(name).stem if by_path else name
            hint = nearest(plain, _names(self._folder)) or "write one in gates/, or give a path"
            raise UsageError(f'no policy "{shown(plain)}"', hint=hint)
        policy = parse(_text(path, path.name), source=path.name)
        if not by_path:
            _check_name(policy.name, path)
        return policy


def _check_name(name: str, path: Path) -> None:
    """Raise InvalidInput where a file's name is not the name inside."""
    if name != path.stem:
        raise InvalidInput(
            f'{path.name}: is called "{shown(name)}"',
            hint=f'write "name: {path.stem}", or rename the file',
        )


def _policy(path: Path) -> "GatePolicy":
    """Return the policy of a file; raises InvalidInput, also for one that could never pass."""
    from relkit.gate.lint import lint
    from relkit.gate.policies import parse_policy

    policy = parse_policy(_text(path, path.name), source=path.name)
    for finding in lint(policy):
        if finding.severity == "refuse":
            at = where(path.name, finding.line)
            raise InvalidInput(f'{at}: rule "{finding.rule}": {finding.message}', hint=finding.hint)
    return policy


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def _text(path: Path, source: str) -> str:
    return decode(storage.read_bytes(path, what=source), source=source)
