#!/usr/bin/env bash
# Scans $IMAGE:$COMMIT before it is pushed. Stops at a vulnerability of $SEVERITIES that has a fix
# and is not one of $ALLOWED; one without a fix is told: nobody could mend it by stopping here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need IMAGE COMMIT PROJECT
severities=${SEVERITIES:-CRITICAL HIGH}
found=$(mktemp)
trap 'rm -f "$found"' EXIT

CALL_S=${SCAN_S:-900}
scan=$(cloud artifacts docker images scan "$IMAGE:$COMMIT" --project="$PROJECT" \
    --location="${SCAN_LOCATION:-us}" --format='value(response.scan)')
[ -n "$scan" ] || fail "expected the name of a scan, got nothing"
cloud artifacts docker images list-vulnerabilities "$scan" --project="$PROJECT" \
    --format='csv[no-heading](noteName.basename(),vulnerability.effectiveSeverity,vulnerability.fixAvailable)' >"$found"
say "$(wc -l <"$found") vulnerabilities: $(cut -d, -f2 "$found" | sort | uniq -c | xargs)"

awk -F, -v severities=" $severities " -v allowed=" ${ALLOWED:-} " '
    !index(severities, " " $2 " ") { next }
    index(allowed, " " $1 " ") { print "allowed  " $1 " " $2; next }
    tolower($3) != "true" { print "no fix   " $1 " " $2; next }
    { print "refused  " $1 " " $2; refused = 1 }
    END { exit refused }' "$found" >&2 || fail "expected no vulnerability of $severities that has a fix"
