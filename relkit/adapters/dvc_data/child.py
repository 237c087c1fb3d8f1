"""What runs in the child process: DVC's own transfer, with the user's configuration."""

import json
import sys
from pathlib import Path
from typing import Any


def run(root: str, md5: str) -> None:
    """Pull a hash into the cache and say in one line of JSON how it went."""
    print(json.dumps(_pull(root, md5)))  # noqa: T201  # the one line the parent reads


def _pull(root: str, md5: str) -> dict[str, Any]:
    from dvc.config import NoRemoteError  # type: ignore[import-untyped]  # DVC ships no types
    from dvc.repo import Repo  # type: ignore[import-untyped]  # as above
    from dvc_data.hashfile.hash_info import HashInfo

    name = None
    try:
        with Repo(root) as repo:
            name = repo.config["core"].get("remote")
            remote = repo.cloud.get_remote_odb(None, "pull")
            if remote.fs.protocol == "local" and not Path(remote.path).parents[1].is_dir():
                return {"error": "gone", "remote": name}
            repo.cloud.pull([HashInfo("md5", md5)])
            listing = Path(repo.cache.local.oid_to_path(md5))
            if not listing.is_file():
                _ask(remote, md5)
            elif md5.endswith(".dir"):
                files = json.loads(listing.read_bytes())
                repo.cloud.pull([HashInfo("md5", item["md5"]) for item in files])
    except NoRemoteError:
        return {"error": "none"}
    except ImportError:  # each kind of remote is a package of its own
        return {"error": "plugin", "remote": name}
    except Exception as error:  # noqa: BLE001  # each kind of remote has errors of its own; all mean that it did not answer
        sys.stderr.write(f"{error}\n")
        return {"error": type(error).__name__, "remote": name}
    return {}


def _ask(remote: Any, md5: str) -> None:  # noqa: ANN401  # DVC ships no types
    """Raise where a hash is missing only because the remote does not answer: DVC says neither."""
    try:
        remote.fs.info(remote.oid_to_path(md5))
    except FileNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            raise cause from error
