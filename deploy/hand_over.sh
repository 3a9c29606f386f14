#!/usr/bin/env bash
# Starts the release of what this build will have pushed when it ends.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION BUILD COMMIT
if [ -z "${RELEASE_TRIGGER:-}" ]; then
    say "no RELEASE_TRIGGER: nothing is deployed; deploy/release.sh does it by hand"
    exit 0
fi
cloud builds triggers run "$RELEASE_TRIGGER" --project="$PROJECT" --region="$REGION" \
    --sha="$COMMIT" --substitutions="_BUILD=$BUILD,_COMMIT=$COMMIT" --format='value(metadata.build.id)'
