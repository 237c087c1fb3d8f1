"""``relkit approve``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, safe, say
from relkit.domain.errors import UsageError

if TYPE_CHECKING:
    from relkit.config import Settings
    from relkit.domain.gates import CheckRecord


def command(
    check: Annotated[
        str, typer.Argument(metavar="CHECK", help="A name, or the JSON record of another tool.")
    ],
    *,
    sign: Annotated[Path, typer.Option("--sign", metavar="KEY", help="A private key.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the key).")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is printed.")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="RUN", help="Only about what this run is.")
    ] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="WORD", help="pass (default) or fail.")
    ] = None,
    valid_for: Annotated[
        str | None, typer.Option("--valid-for", metavar="TIME", help="At most 30d (default: 24h).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Sign a named check or approval that a policy requires.

    Example: relkit approve security-review --sign relkit.key --by "A. Lee" --candidate 20260131
    """
    from relkit import wiring
    from relkit.cli.durations import seconds
    from relkit.wiring import signing

    settings = wiring.settings(common.start)
    given = {"--by": by, "--reason": reason, "--candidate": candidate, "--verdict": verdict}
    if check.endswith(".json"):
        record = _of_another_tool(Path(check), [name for name, one in given.items() if one])
        valid_for_s = None if valid_for is None else seconds(valid_for, "--valid-for")
    else:
        record = _own(settings, check, verdict, by=by, reason=reason, run=candidate, key=sign)
        valid_for_s = seconds(valid_for or "24h", "--valid-for")
    path, made = signing.approve(settings, record, key=sign, valid_for_s=valid_for_s, output=output)
    if common.as_json:
        print_json(
            {
                "check": made.name,
                "file": path.name,
                "verdict": str(made.verdict),
                "by": made.by,
                "candidate": made.candidate,
                "expires": made.expires,
                "digest": made.digest,
                "key": made.key,
            }
        )
    until = "" if made.expires is None else f", until {made.expires}"
    say(f"{made.name}: {made.verdict} by {safe(made.by)}{until}: {path.name}", quiet=common.quiet)


def _of_another_tool(path: Path, given: list[str]) -> "CheckRecord":
    from relkit.wiring import signing

    if given:
        raise UsageError(
            f"{given[0]} cannot change the record of another tool",
            hint="sign it as it is, or approve under a name of your own",
        )
    return signing.read_record(path)


def _own(
    settings: "Settings",
    name: str,
    verdict: str | None,
    *,
    by: str | None,
    reason: str | None,
    run: str | None,
    key: Path,
) -> "CheckRecord":
    from relkit.wiring import signing

    word = verdict or "pass"
    if word not in ("pass", "fail"):
        raise UsageError("--verdict: pass or fail was expected")
    return signing.approval(settings, name, verdict=word, by=by, reason=reason, run=run, key=key)
