#!/usr/bin/env bash
# Looks at a revision that callers meet: it answers still, and what it answered since $SINCE had
# few errors and was quick.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION SERVICE REVISION SINCE URL COMMIT
"$here/smoke.sh"

filter="resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"$SERVICE\"
AND resource.labels.location=\"$REGION\" AND resource.labels.revision_name=\"$REVISION\"
AND log_id(\"run.googleapis.com/requests\") AND timestamp>=\"$SINCE\""
# The smoke test's own requests are in the log, once they have arrived there: none is no answer.
until=$((SECONDS + ${LOG_S:-180}))
while :; do
    rows=$(cloud logging read "$filter" --project="$PROJECT" --limit=10000 \
        --format='csv[no-heading](httpRequest.status,httpRequest.latency)') || rows=""
    [ -z "$rows" ] || break
    [ $SECONDS -lt $until ] || fail "expected requests of $REVISION in the log, got none"
    pause "${PAUSE_S:-10}"
done

sort --field-separator=, --key=2 --general-numeric-sort <<<"$rows" |
    awk -F, -v revision="$REVISION" -v most="${MAX_ERRORS:-0.01}" -v longest="${MAX_P95_S:-10}" '
        $1 >= 500 { bad++ }
        { latency[NR] = $2 + 0 } # "0.25s"
        END {
            p95 = latency[int(NR * 0.95 + 0.999999)]
            printf "%s: %d requests, %d errors, p95 %.3f s\n", revision, NR, bad, p95
            exit bad / NR > most || p95 > longest
        }' >&2 || fail "expected at most ${MAX_ERRORS:-0.01} of errors and p95 of ${MAX_P95_S:-10} s"
