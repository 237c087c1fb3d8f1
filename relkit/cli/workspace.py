"""``relkit init`` and ``relkit doctor``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.adapters.health import Health
from relkit.cli.app import Common
from relkit.cli.output import print_json, put, say, show
from relkit.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.adapters.workspace import Workflow
    from relkit.core.digests import JsonValue


_MARKS = {"ok": "ok", "missing": "MISSING", "absent": "-"}


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Folder to make or fill.")
    ] = Path(),
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="FILE", help="Write only this file again; repeatable."),
    ] = None,
    common: Common,
) -> None:
    """Make a workspace with a dataset, suites and settings to start from.

    Nothing that exists is changed. Example: relkit init my-assistant
    """
    from relkit.wiring.workspace import init_workspace, restore_files

    if only:
        restored = restore_files(folder, only)
        if common.as_json:
            print_json({"written": [*restored], "made": [], "workflow": None})
            return
        say(f"wrote {', '.join(restored)}")
        return
    written, steps, workflow = init_workspace(folder)
    if common.as_json:
        path = workflow.path if workflow is not None and workflow.written else None
        print_json({"written": sorted(written), "made": list(steps), "workflow": path})
        return
    repository = f" and made a {' and '.join(steps)} repository" if steps else ""
    say(f"wrote {', '.join(sorted(written))}{repository}")
    if workflow is not None:
        _say_workflow(workflow)
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    say(f"next: {enter}relkit eval demo", quiet=common.quiet)


def _say_workflow(workflow: "Workflow") -> None:
    """Say where the gate in CI is, and what is left to do about it."""
    inside = "" if workflow.inside == "." else f' with workspace: "{workflow.inside}"'
    if not workflow.written:
        say(f"{workflow.path} is there: gate in it{inside}, see docs/ci.md")
        return
    top = ", at the top of the repository that this folder lies in," if inside else ""
    say(f"wrote {workflow.path}{top} which gates in CI{inside}")
    if not workflow.named:
        say("  name in it where your relkit is from, for OWNER/relkit and TAG")


def doctor(
    *,
    make_key: Annotated[
        Path | None, typer.Option("--make-key", metavar="DIR", help="Make a signing key there.")
    ] = None,
    leaks: Annotated[
        Path | None,
        typer.Option("--leaks", metavar="PATH", help="Scan a file or folder for secrets."),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option("--tokens", metavar="FILE", help="What --leaks looks for, one a line."),
    ] = None,
    common: Common,
) -> None:
    """Look at this machine and workspace, and say how to mend what is missing.

    Example: relkit doctor --leaks public --tokens honeytokens.txt
    """
    from relkit.wiring.stores import workspace_if_any
    from relkit.wiring.workspace import health

    if make_key is not None:
        _make_key(make_key, common)
        return
    if leaks is not None:
        _scan_for_leaks(leaks, tokens, common)
        return
    if tokens is not None:
        raise UsageError("--tokens: says what --leaks looks for", hint="add --leaks PATH")
    checks = health(workspace_if_any(common.start))
    show(checks, common, text=doctor_text, document=_doctor_json)
    if any(item.state == "missing" for item in checks):
        raise typer.Exit(ExitCode.FAILED)


def _scan_for_leaks(path: Path, tokens: Path | None, common: Common) -> None:
    from relkit.core.wording import counted
    from relkit.disclosure.leaks_view import leaks_text
    from relkit.wiring.stores import workspace_if_any
    from relkit.wiring.workspace import scan_for_leaks

    workspace = None if tokens is not None else workspace_if_any(common.start)
    scan, names, too_short = scan_for_leaks(path, tokens, workspace)
    show(scan, common, text=lambda scan: leaks_text(scan, names=names, too_short=too_short))
    if common.as_json:
        say(f"looked for {counted(len(names), 'secret')}: {', '.join(names)}", quiet=common.quiet)
    if scan.hits:
        raise typer.Exit(ExitCode.FAILED)
    if scan.skipped:
        raise typer.Exit(ExitCode.INCONCLUSIVE)


def _make_key(folder: Path, common: Common) -> None:
    from relkit.wiring.stores import workspace_if_any
    from relkit.wiring.workspace import make_key

    workspace = workspace_if_any(common.start)
    private, public = make_key(folder, workspace)
    if common.as_json:
        print_json({"private": private.name, "public": public.name})
        return
    put(f"{private.name}: the private key; keep it to yourself, and sign with --sign")
    path = public.resolve()
    shown = str(path)  # a key outside is trusted by its whole path
    if workspace is not None and path.is_relative_to(workspace.folder):
        shown = workspace.shown(path)
    put(f"{public.name}: the public key; trust it with this line in relkit.yaml")
    put(f"  signing: {{keys: [{shown}]}}")


def _doctor_json(checks: Sequence[Health]) -> "dict[str, JsonValue]":
    from relkit.core.codec import encode

    return {"checks": [encode(item) for item in checks]}


def doctor_text(checks: Sequence[Health]) -> str:
    """Return a line for each thing: ok, missing with what mends it, or optional and not there."""
    from relkit.core.wording import safe

    width = max(len(item.name) for item in checks)
    lines = []
    for item in checks:
        lines.append(f"{_MARKS[item.state]:7}  {item.name:{width}}  {safe(item.detail)}")
        if item.remedy:
            lines.append(f"{'':7}  {'':{width}}  -> {item.remedy}")
    return "\n".join(lines)
