#!/usr/bin/env bash
# Brings an image to the callers of a service: with no traffic and a tag, tested there, then with
# 10, 50 and 100 % and a check after each, then as "stable". It ends well, or with all traffic at
# the revision that had it before.
#
# One script and not a step of Cloud Build each: a build that fails runs no further step, so only
# the process that moved the traffic can put it back.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION SERVICE IMAGE COMMIT
digest=${DIGEST:-$(cat "${STATE:?}/digest")}
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "expected DIGEST as sha256:…, got $digest"
shares=${SHARES:-10 50 100}
[ "${shares##* }" = 100 ] || fail "expected SHARES to end with 100, got $shares"
tag=c-${COMMIT:0:7}

now=$(traffic)
old=$(serving <<<"$now")
[[ $old =~ ^[a-z0-9-]+=100$ ]] ||
    fail "expected one revision with all traffic, got ${old:-none}: a release runs, or deploy/rollback.sh is due"
old=${old%=100}
new=

finish() {
    local status=$?
    trap '' HUP INT TERM # what puts back must not be stopped
    trap - EXIT
    set +e # nor what fails on the way
    jobs -p | xargs --no-run-if-empty kill 2>/dev/null
    if [ "$status" -ne 0 ]; then
        say "the release failed"
        OLD=$old NEW=$new TAG=$tag "$here/rollback.sh"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# patiently COMMAND...: what only reads; a signal ends the wait for it. A call that moves traffic is
# waited for instead: it must have come about, or not, before it is put back.
patiently() {
    "$@" &
    wait $!
}

# expect SHARES: looks whether the traffic is as we left it.
expect() {
    local got
    got=$(traffic | serving)
    [ "$got" = "$1" ] || fail "expected traffic $1, got $got: somebody else moved it"
}

# So that rollback.sh finds it even if this process is killed.
[ "$(tagged stable 1 <<<"$now")" = "$old" ] || update --update-tags="stable=$old"

say "deploying $IMAGE@$digest beside $old"
CALL_S=${DEPLOY_S:-600} cloud run deploy "$SERVICE" --project="$PROJECT" --region="$REGION" \
    --image="$IMAGE@$digest" --no-traffic --tag="$tag" --format=none
now=$(traffic)
new=$(tagged "$tag" 1 <<<"$now")
URL=$(tagged "$tag" 4 <<<"$now")
[ -n "$new" ] && [ "$new" != "$old" ] || fail "expected a new revision with the tag $tag, got ${new:-none}"
AUDIENCE=$(cloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" \
    --format='value(status.url)')
export URL AUDIENCE
expect "$old=100"

say "testing $new at $URL"
patiently "$here/smoke.sh"

expect "$old=100"
for share in $shares; do
    # Time is left for one more share, and to put everything back.
    [ $SECONDS -lt "${RELEASE_S:-3600}" ] || fail "expected to be done within ${RELEASE_S:-3600} s"
    split=$new=$share
    [ "$share" -eq 100 ] || split=$(printf '%s\n' "$split" "$old=$((100 - share))" | sort | paste -sd, -)
    say "traffic: $split"
    since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    update --to-revisions="$split"
    pause "${BAKE_S:-120}"
    REVISION=$new SINCE=$since patiently "$here/check.sh"
    expect "$split"
done

update --update-tags="stable=$new" --remove-tags="$tag"
expect "$new=100"
say "$new is stable; $old waits without traffic"
[ -n "${JOB:-}" ] || exit 0

trap - EXIT # from here on nothing of the service is put back
say "the job $JOB gets the same image"
cloud run jobs update "$JOB" --project="$PROJECT" --region="$REGION" --image="$IMAGE@$digest" \
    --format=none || fail "$SERVICE is released, but the job $JOB has its image of before"
