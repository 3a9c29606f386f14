#!/usr/bin/env bash
# Asks a revision at $URL, with a token, whether it is the one that was built: its commit, the
# model's digest, and the label of a known photo.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need URL COMMIT
model=${MODEL_FOLDER:-$here/../model_artifacts/efficientnet-lite0}
photo=${PHOTO:-$model/check/cat.jpg}
label=${LABEL:-tiger cat}
# A model has a file of its own and those of its variants; which one is served, the hardware tells.
digests=${DIGESTS:-$(awk -F'"' '
    /^\[/ { section = $0 }
    section == "[file]" || section == "[[variant]]" {
        for (i = 1; i < NF; i++) if ($i ~ /sha256 = $/) print "sha256:" $(i + 1)
    }' "$model/model.toml" | xargs)}
[ -n "$digests" ] || fail "expected digests in $model/model.toml, got none"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Cloud Build's own tokens are not of this kind, so its account asks for one as $TOKEN_ACCOUNT. A
# person's account cannot choose the audience. The token goes by a file, not by the command line.
as=${TOKEN_ACCOUNT:+--impersonate-service-account="$TOKEN_ACCOUNT"}
token=$(cloud auth print-identity-token --audiences="${AUDIENCE:-$URL}" ${as:+"$as"} 2>"$work/why") ||
    { [ -z "$as" ] && token=$(cloud auth print-identity-token); } ||
    fail "expected a token, got: $(tail -1 "$work/why")"
(umask 077 && printf 'Authorization: Bearer %s\n' "$token" >"$work/header")

# ask PATH ARGUMENT...: writes the answer to $work/answer and prints the status.
ask() {
    local path=$1
    shift
    curl --silent --output "$work/answer" --write-out '%{http_code}' --header "@$work/header" \
        --max-time "${ANSWER_S:-60}" "$@" "$URL$path" || true
}

until=$((SECONDS + ${SMOKE_S:-240}))
until status=$(ask /readyz) && [ "$status" = 200 ]; do
    [ $SECONDS -lt $until ] || fail "expected /readyz to answer 200, got $status"
    pause "${PAUSE_S:-10}"
done
digest=$(field "$work/answer" digest)
[[ " $digests " == *" $digest "* ]] || fail "expected the model $digests, got $digest"

status=$(ask / --header 'accept: application/json')
[ "$status" = 200 ] || fail "expected / to answer 200, got $status"
got=$(field "$work/answer" commit)
[ "$got" = "$COMMIT" ] || fail "expected commit $COMMIT, got $got"

status=$(ask /predict --header 'content-type: image/jpeg' --data-binary "@$photo")
[ "$status" = 200 ] || fail "expected /predict to answer 200, got $status"
got=$(field "$work/answer" predictions 0 label)
[ "$got" = "$label" ] || fail "expected the label $label, got $got"
got=$(field "$work/answer" digest)
[[ " $digests " == *" $got "* ]] || fail "expected a prediction by $digests, got $got"
say "commit $COMMIT, $digest: $label"
