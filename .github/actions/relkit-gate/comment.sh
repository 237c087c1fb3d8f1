#!/usr/bin/env bash
# Puts the comment of a gate on a pull request, in place of the one an earlier run put there.
# A comment is a courtesy: where the token may not write one, that is said and nothing fails.
set -euo pipefail

if [ ! -s "${COMMENT_FILE:-}" ]; then
  echo "::notice title=relkit gate::there is no comment to write"
  exit 0
fi
case "${PULL_REQUEST:-}" in
  '' | *[!0-9]*)
    echo "::notice title=relkit gate::not on a pull request, so there is no comment"
    exit 0
    ;;
esac

marker=$(head -n 1 "$COMMENT_FILE")
case "$marker" in
  '<!-- relkit-gate '????????????????' -->') ;;
  *)
    echo "::warning title=relkit gate::the comment has no marker and is not written"
    exit 0
    ;;
esac

body=$(mktemp)
trap 'rm -f "$body"' EXIT
python3 - "$COMMENT_FILE" >"$body" <<'PYTHON'
import json, os, pathlib, sys

text = pathlib.Path(sys.argv[1]).read_bytes().decode("utf-8", "replace")
marker, _, rest = text.partition("\n")
if os.environ.get("COMMENT_UNTRUSTED") == "true":
    # Written by the run of a fork, which can write anything: it is marked so, and calls nobody.
    note = "> Written by the run of a pull request from a fork, which controls what it says."
    rest = note + "\n\n" + rest.replace("@", "@\u200b")
json.dump({"body": (marker + "\n" + rest)[:65536]}, sys.stdout)
PYTHON

# Only an own comment is updated: anybody may write one that begins with our marker.
earlier=$(
  MARKER=$marker gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" \
    --jq '.[] | select(.user.login == env.COMMENT_AUTHOR and (.body | startswith(env.MARKER))) | .id' |
    head -n 1
) || earlier=

if [ -n "$earlier" ]; then
  set -- --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$earlier"
else
  set -- --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments"
fi
if ! gh api "$@" --input "$body" >/dev/null; then
  echo "::warning title=relkit gate::the comment could not be written: the token may not (a fork?)"
fi
