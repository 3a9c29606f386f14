#!/usr/bin/env bash
# Builds $IMAGE:$COMMIT, on a base that is named by its digest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need IMAGE COMMIT BASE
[[ $BASE =~ @sha256:[0-9a-f]{64}$ ]] || fail "expected BASE as image@sha256:…, got $BASE"

# No cache from the registry: layers of an earlier build are not part of this one's provenance.
DOCKER_BUILDKIT=1 docker build --pull \
    --build-arg "BASE=$BASE" --build-arg "MODELS=${MODELS:-}" --build-arg "COMMIT=$COMMIT" \
    --tag "$IMAGE:$COMMIT" "$here/.."
