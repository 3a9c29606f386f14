#!/usr/bin/env bash
# Serves the image from a Vertex AI endpoint: uploads it as a model, deploys it without traffic,
# then with 10, 50 and 100 % and a known photo asked after each, and undeploys what it replaced. It
# ends well, or with all traffic at the model that had it before. (Terraform's GA provider has no
# resource for either.)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT REGION ENDPOINT IMAGE COMMIT
digest=${DIGEST:-$(cat "${STATE:?}/digest")}
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "expected DIGEST as sha256:…, got $digest"
shares=${SHARES:-10 50 100}
[ "${shares##* }" = 100 ] || fail "expected SHARES to end with 100, got $shares"
photo=${PHOTO:-${MODEL_FOLDER:-$here/../model_artifacts/efficientnet-lite0}/check/cat.jpg}
label=${LABEL:-tiger cat}
# The name tells this deployment from any other, of the same commit too.
name=zeropoint-${COMMIT:0:7}-$(date -u +%Y%m%d-%H%M%S)
where=(--project="$PROJECT" --region="$REGION")

# split: who answers callers, sorted, such as "12=90,34=10".
split() {
    cloud ai endpoints describe "$ENDPOINT" "${where[@]}" --format='value(trafficSplit)' |
        tr ';' '\n' | awk -F= '$2 > 0' | sort | paste -sd, -
}

# deployed NAME: the id of a deployed model.
deployed() {
    cloud ai endpoints describe "$ENDPOINT" "${where[@]}" --flatten='deployedModels[]' \
        --format='csv[no-heading](deployedModels.id,deployedModels.displayName)' |
        awk -F, -v name="$1" '$2 == name { found = $1 } END { print found }'
}

old=$(split)
[[ $old =~ ^([0-9]+=100)?$ ]] || fail "expected one model with all traffic or none, got $old"
old=${old%=100}
model=
work=$(mktemp -d)

# put_back: all traffic to the old model, as often as it takes; then away with the new one.
put_back() {
    local try new wait_s=${ROLLBACK_PAUSE_S:-2}
    say "the deployment failed"
    if [ -n "$old" ]; then
        for ((try = ${ROLLBACK_TRIES:-8}; ; try--)); do
            [ "$(split)" != "$old=100" ] || break
            if [ "$try" -le 0 ]; then
                say "NOT rolled back. By hand: gcloud ai endpoints update $ENDPOINT" \
                    "--project=$PROJECT --region=$REGION --traffic-split=$old=100"
                return 1
            fi
            cloud ai endpoints update "$ENDPOINT" "${where[@]}" --traffic-split="$old=100" || true
            sleep "$wait_s"
            wait_s=$((wait_s < 30 ? wait_s * 2 : 30))
        done
        say "rolled back: $old has all traffic"
    fi
    # A replica that stays is billed by the hour.
    if new=$(deployed "$name") && [ -n "$new" ]; then
        CALL_S=${VERTEX_S:-1800} cloud ai endpoints undeploy-model "$ENDPOINT" "${where[@]}" \
            --deployed-model-id="$new" || say "NOT undeployed, and billed: $new of endpoint $ENDPOINT"
    fi
    [ -z "$model" ] || cloud ai models delete "$model" "${where[@]}" || say "left behind: $model"
}

finish() {
    local status=$?
    trap '' HUP INT TERM
    trap - EXIT
    set +e # nor what fails on the way
    jobs -p | xargs --no-run-if-empty kill 2>/dev/null
    [ "$status" -eq 0 ] || put_back
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ask: the known photo, several times: the endpoint chooses who answers. With curl, as gcloud does
# not find an endpoint that has a host name of its own. The token goes by a file.
ask() {
    local got host token try
    host=$(cloud ai endpoints describe "$ENDPOINT" "${where[@]}" --format='value(dedicatedEndpointDns)')
    token=$(cloud auth print-access-token)
    (umask 077 && printf 'Authorization: Bearer %s\n' "$token" >"$work/header")
    for ((try = 0; try < ${ASKS:-20}; try++)); do
        curl --silent --show-error --fail --max-time "${ANSWER_S:-60}" --output "$work/answer" \
            --header "@$work/header" --header 'content-type: application/json' --data "@$work/request" \
            "https://${host:-$REGION-aiplatform.googleapis.com}/v1/projects/$PROJECT/locations/$REGION/endpoints/${ENDPOINT##*/}:predict"
        got=$(field "$work/answer" predictions 0 label)
        [ "$got" = "$label" ] || fail "expected the label $label, got $got"
    done
}

printf '{"instances": [{"b64": "%s"}]}' "$(base64 --wrap=0 "$photo")" >"$work/request"

say "uploading $IMAGE@$digest as $name"
model=$(CALL_S=${VERTEX_S:-1800} cloud ai models upload "${where[@]}" --display-name="$name" \
    --container-image-uri="$IMAGE@$digest" --container-predict-route=/predict \
    --container-health-route=/readyz --container-ports=8080 --format='value(model)')
[ -n "$model" ] || fail "expected the name of a model, got nothing"

first=0=100
[ -z "$old" ] || first=0=0,$old=100
say "deploying $name beside ${old:-nothing}"
# Vertex AI does not scale to zero: each replica, and there is one at least, is billed while it is deployed.
CALL_S=${VERTEX_S:-1800} cloud ai endpoints deploy-model "$ENDPOINT" "${where[@]}" --model="$model" \
    --display-name="$name" --machine-type="${MACHINE:-n2-standard-2}" \
    --min-replica-count=1 --max-replica-count="${REPLICAS:-1}" --traffic-split="$first" \
    ${ACCOUNT:+--service-account="$ACCOUNT"} --format=none
new=$(deployed "$name")
[ -n "$new" ] || fail "expected a deployed model $name, got none"

if [ -n "$old" ]; then
    for share in $shares; do
        want=$new=$share
        [ "$share" -eq 100 ] || want=$(printf '%s\n' "$want" "$old=$((100 - share))" | sort | paste -sd, -)
        say "traffic: $want"
        cloud ai endpoints update "$ENDPOINT" "${where[@]}" --traffic-split="$want"
        ask
        got=$(split)
        [ "$got" = "$want" ] || fail "expected traffic $want, got $got"
    done
else
    ask
fi
# From here on the new one serves. The old one is idle, and billed until it is gone.
trap - EXIT
rm -rf "$work"
if [ -n "$old" ]; then
    CALL_S=${VERTEX_S:-1800} cloud ai endpoints undeploy-model "$ENDPOINT" "${where[@]}" \
        --deployed-model-id="$old" || fail "$new serves, but the old one is billed still: undeploy $old"
fi
say "$new serves $name"
