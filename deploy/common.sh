# shellcheck shell=bash
# Read by the other scripts: words for the log, calls with a deadline, and who has the traffic.

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# need NAME...: stops where a variable is not set.
need() {
    local name
    for name; do
        [ -n "${!name:-}" ] || fail "expected the variable $name (docs/architecture/05-delivery.md)"
    done
}

# cloud ARGUMENT...: gcloud, which has to end: a call that hangs would leave traffic half moved.
cloud() { timeout --kill-after=10 "${CALL_S:-120}" gcloud --quiet "$@"; }

# pause SECONDS: a sleep that a signal ends at once.
pause() {
    sleep "$1" >/dev/null 2>&1 &
    wait $!
}

# field FILE KEY...: one value of a JSON file, or nothing where it has none. The image that runs
# these scripts has Python, but no jq.
field() {
    python3 -IS -c '
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    value = value[int(key) if isinstance(value, list) else key]
print(value)' "$@" 2>/dev/null || true
}

# traffic: a line "revision,percent,tag,url" for each target of the service.
traffic() {
    cloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" \
        --flatten='status.traffic[]' \
        --format='csv[no-heading](status.traffic.revisionName,status.traffic.percent,status.traffic.tag,status.traffic.url)'
}

# serving < traffic: who answers callers, sorted, such as "a=90,b=10".
serving() {
    awk -F, '$2 > 0 { share[$1] += $2 } END { for (name in share) print name "=" share[name] }' |
        sort | paste -sd, -
}

# tagged TAG FIELD < traffic: the revision (1) or the URL (4) behind a tag.
tagged() { awk -F, -v tag="$1" -v field="$2" '$3 == tag { found = $field } END { print found }'; }

# update ARGUMENT...: changes the service's traffic or tags.
update() {
    cloud run services update-traffic "$SERVICE" --project="$PROJECT" --region="$REGION" \
        --format=none "$@"
}
