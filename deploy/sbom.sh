#!/usr/bin/env bash
# Takes the bill of materials (CycloneDX) out of the image, to lie beside the release: in $STATE and,
# where $SBOMS names a bucket, there, with a reference to it at the image in Artifact Analysis.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT IMAGE STATE
digest=${DIGEST:-$(cat "$STATE/digest")}
bill=$STATE/sbom.cdx.json
mkdir -p "$STATE"

timeout --kill-after=10 "${PULL_S:-300}" docker run --rm --network=none --entrypoint=cat \
    "$IMAGE@$digest" /app/sbom.cdx.json >"$bill" || fail "expected a bill of materials in the image, got none"
got=$(field "$bill" bomFormat)
[ "$got" = CycloneDX ] || fail "expected a bill of materials of CycloneDX, got ${got:-another file}"
if [ -n "${SBOMS:-}" ]; then
    cloud artifacts sbom load --project="$PROJECT" --source="$bill" --uri="$IMAGE@$digest" \
        --destination="gs://$SBOMS"
fi
say "$IMAGE@$digest: $(wc -c <"$bill") bytes of bill of materials"
