#!/usr/bin/env bash
# Gives all traffic back to $OLD, by default the revision with the tag "stable". It tries for long,
# and looks whether it came about: a call may fail and yet have been done.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION SERVICE
CALL_S=${ROLLBACK_CALL_S:-60}
if [ -z "${OLD:-}" ]; then
    OLD=$(traffic | tagged stable 1)
    [ -n "$OLD" ] || fail "expected OLD, or a revision with the tag stable, got neither"
fi

# A release rolls back its own moves only: if all callers are with a third revision, another
# release has ended meanwhile.
if [ -n "${NEW+set}" ] && now=$(traffic | serving) && [ -n "$now" ]; then
    if [[ ,$now != *",$OLD="* && (-z $NEW || ,$now != *",$NEW="*) ]]; then
        say "traffic is left as another release set it: $now"
        exit 0
    fi
fi

wait_s=${ROLLBACK_PAUSE_S:-2}
for ((try = ${ROLLBACK_TRIES:-8}; ; try--)); do
    say "rolling back: all traffic to $OLD"
    update --to-revisions="$OLD=100" || true
    [ "$(traffic | serving)" != "$OLD=100" ] || break
    if [ "$try" -le 1 ]; then
        fail "NOT rolled back. By hand: gcloud run services update-traffic $SERVICE" \
            "--project=$PROJECT --region=$REGION --to-revisions=$OLD=100"
    fi
    sleep "$wait_s"
    wait_s=$((wait_s < 30 ? wait_s * 2 : 30))
done
# Tags move no traffic: a failure here is told and no more.
update --update-tags="stable=$OLD" ${TAG:+--remove-tags="$TAG"} ||
    say "the tags are not as they were: stable should be $OLD"
say "rolled back: $OLD has all traffic"
