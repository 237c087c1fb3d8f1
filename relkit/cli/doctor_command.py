"""``relkit doctor``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe
from relkit.domain.errors import ExitCode
from relkit.domain.health import Health

_MARKS = {"ok": "ok", "missing": "MISSING", "absent": "-"}


def command(
    *,
    make_key: Annotated[
        Path | None, typer.Option("--make-key", metavar="DIR", help="Make a signing key there.")
    ] = None,
    common: Common,
) -> None:
    """Look at this machine and workspace, and say how to mend what is missing.

    Example: relkit doctor --make-key ~/.config/relkit
    """
    from relkit import wiring
    from relkit.wiring.health import health

    if make_key is not None:
        _made(make_key, common)
        return
    found = health(wiring.settings_if_any(common.start))
    if common.as_json:
        print_json({"checks": [_document(item) for item in found]})
    else:
        put(doctor_summary(found))
    if any(item.state == "missing" for item in found):
        raise typer.Exit(ExitCode.FAILED)


def _made(folder: Path, common: Common) -> None:
    from relkit.wiring.signing import make_key

    private, public = make_key(folder)
    if common.as_json:
        print_json({"private": private.name, "public": public.name})
        return
    put(f"{private.name}: the private key; keep it to yourself, and sign with --sign")
    put(f"{public.name}: the public key; trust it with signing: {{keys: [...]}} in relkit.yaml")


def _document(item: Health) -> dict[str, str]:
    return {"name": item.name, "state": item.state, "detail": item.detail, "mend": item.mend}


def doctor_summary(found: Sequence[Health]) -> str:
    """Return a line for each thing: ok, missing with what mends it, or optional and not there."""
    width = max(len(item.name) for item in found)
    lines = []
    for item in found:
        lines.append(f"{_MARKS[item.state]:7}  {item.name:{width}}  {safe(item.detail)}")
        if item.mend:
            lines.append(f"{'':7}  {'':{width}}  -> {item.mend}")
    return "\n".join(lines)
