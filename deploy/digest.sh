#!/usr/bin/env bash
# Waits for the build $BUILD to end, and writes the digest that it pushed to $STATE/digest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION IMAGE COMMIT BUILD STATE

# of FORMAT: something of the build.
of() { cloud builds describe "$BUILD" --project="$PROJECT" --region="$REGION" --format="value($1)"; }

until=$((SECONDS + ${BUILD_S:-900}))
while :; do
    status=$(of status) || status=unknown # it may pass
    case $status in
    SUCCESS) break ;;
    QUEUED | PENDING | WORKING | unknown) ;;
    *) fail "expected build $BUILD to succeed, got $status" ;;
    esac
    [ $SECONDS -lt $until ] || fail "expected build $BUILD to end, got $status"
    pause "${PAUSE_S:-10}"
done

name=$(of 'results.images[0].name')
digest=$(of 'results.images[0].digest')
[ "$name" = "$IMAGE:$COMMIT" ] || fail "expected build $BUILD to push $IMAGE:$COMMIT, got $name"
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "expected a digest, got $digest"
mkdir -p "$STATE"
echo "$digest" >"$STATE/digest"
say "$IMAGE@$digest"
