#!/usr/bin/env bash
# Lets an image pass only if Cloud Build signed that it built it from $COMMIT of $SOURCE.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/common.sh
. "$here/common.sh"

need PROJECT IMAGE COMMIT SOURCE STATE
digest=${DIGEST:-$(cat "$STATE/digest")}
said=$STATE/provenance.json
verified=$STATE/verified.json
mkdir -p "$STATE"

verifier=${SLSA_VERIFIER:-slsa-verifier}
if ! command -v "$verifier" >/dev/null; then
    # v2.7.1, by the digest that its repository publishes in SHA256SUM.md.
    verifier=$(cd "$STATE" && pwd)/slsa-verifier
    curl --silent --show-error --fail --location --retry 3 --max-time 300 --output "$verifier" \
        https://github.com/slsa-framework/slsa-verifier/releases/download/v2.7.1/slsa-verifier-linux-amd64
    echo "946dbec729094195e88ef78e1734324a27869f03e2c6bd2f61cbc06bd5350339  $verifier" |
        sha256sum --check --quiet -
    chmod +x "$verifier"
fi

# It is signed after the build has ended.
until=$((SECONDS + ${PROVENANCE_S:-300}))
until cloud artifacts docker images describe "$IMAGE@$digest" --project="$PROJECT" \
    --show-provenance --format=json >"$said" && grep -q '"envelope"' "$said"; do
    [ $SECONDS -lt $until ] || fail "expected a provenance of $IMAGE@$digest, got none"
    pause "${PAUSE_S:-10}"
done

"$verifier" verify-image "$IMAGE@$digest" --provenance-path "$said" --source-uri "$SOURCE" \
    --builder-id https://cloudbuild.googleapis.com/GoogleHostedWorker \
    --print-provenance >"$verified" || fail "expected a provenance that verifies, of $SOURCE"
grep -q "\"$COMMIT\"" "$verified" || fail "expected a provenance of commit $COMMIT, got another's"
say "built by Cloud Build from $SOURCE at $COMMIT"
