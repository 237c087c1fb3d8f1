#!/usr/bin/env bash
# Says what to install: the repository that this action is part of, with the extras that are needed.
set -euo pipefail

refuse() {
  echo "::error title=relkit gate::$1"
  exit 2
}

source=$(cd "$GITHUB_ACTION_PATH/../../.." && pwd)
if ! grep -qs '^name = "relkit-speech"$' "$source/pyproject.toml"; then
  refuse "this action lies outside relkit's repository; use it from there: OWNER/relkit/.github/actions/relkit-gate@TAG"
fi
if [ ! -f "$WORKSPACE/relkit.yaml" ]; then
  refuse "there is no relkit.yaml in the workspace; name its folder with the input workspace"
fi
case "$EXTRAS" in
  *[!a-z,]*) refuse "extras are names with commas between them" ;;
esac

extras=$EXTRAS
# A lock names audio that only DVC brings.
if [ -n "$(find "$WORKSPACE" -type f -name '*.dvc')" ]; then extras=$extras,dvc; fi
if [ -n "$KEYS" ]; then extras=$extras,sign; fi
extras=${extras#,}
{
  echo "requirement=$source${extras:+[$extras]}"
  echo "cache=$(python3 -m pip cache dir 2>/dev/null || echo "$HOME/.cache/pip")"
  python3 - "$source/pyproject.toml" "$extras" <<'PYTHON'
import hashlib, platform, sys
from pathlib import Path

digest = hashlib.sha256(Path(sys.argv[1]).read_bytes() + sys.argv[2].encode()).hexdigest()
print(f"key=relkit-gate-{platform.system()}-{platform.machine()}-{platform.python_version()}-{digest}")
PYTHON
} >>"$GITHUB_OUTPUT"
