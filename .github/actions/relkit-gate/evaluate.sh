#!/usr/bin/env bash
# Evaluates a suite where no run is named, and tells the run to the steps that follow.
set -euo pipefail

if [ -z "$RUN" ]; then
  if [ -z "$SUITE" ]; then
    echo "::error title=relkit gate::name a $WHAT, or a suite to evaluate"
    exit 2
  fi
  options=()
  while IFS= read -r line; do
    if [ -n "$line" ]; then options+=(--system "$line"); fi
  done <<<"$SYSTEM"
  report=$(mktemp)
  trap 'rm -f "$report"' EXIT
  code=0
  relkit eval "$SUITE" ${options[@]+"${options[@]}"} --workspace "$WORKSPACE" --json >"$report" || code=$?
  if [ "$code" != 0 ]; then
    python3 "$GITHUB_ACTION_PATH/error_of.py" "$report"
    exit "$code"
  fi
  RUN=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))["run"])' "$report")
fi
told=$(mktemp)
{
  echo 'run<<~end~'
  while IFS= read -r line; do
    case "$line" in
      '') ;;
      -* | *[!A-Za-z0-9._/=-]*)
        echo "::error title=relkit gate::a run is named by letters, digits and . _ - / =" >&2
        exit 2
        ;;
      *) echo "$line" ;;
    esac
  done <<<"$RUN"
  echo '~end~'
} >"$told"
cat "$told" >>"$GITHUB_OUTPUT"
