#!/usr/bin/env bash
# Runs what CI runs, on a copy: the build beside it reads this folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar --directory="$here/.." --exclude=./.venv --create --file=- . | tar --directory="$copy" --extract --file=-
"$copy/.ci/run"
