# The function, its packages and the chosen models, on python:3.13-slim: docs/guides/container.md.
#     docker build --build-arg COMMIT="$(git rev-parse HEAD)" --tag zeropoint .

# What ships names its base by digest: python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

# A stage of its own: another choice of models installs nothing anew.
FROM ${BASE} AS models
ARG MODELS="efficientnet-lite0"
COPY model_artifacts /model_artifacts
RUN set -eu; \
    mkdir /chosen; \
    for name in ${MODELS}; do \
        if [ ! -f "/model_artifacts/${name}/model.toml" ]; then \
            echo "MODELS: expected folders of model_artifacts, each with a model.toml;" \
                "${name} has none (make models builds those that are not committed)" >&2; \
            exit 1; \
        fi; \
        cp -R "/model_artifacts/${name}" /chosen; \
    done; \
    chmod -R u=rwX,go=rX /chosen

FROM ${BASE} AS packages
COPY function/requirements.txt /
RUN python -m venv --without-pip /opt/venv && \
    python -m pip --python /opt/venv --disable-pip-version-check --no-input install --quiet \
        --no-cache-dir --no-compile --only-binary=:all: --require-hashes --requirement /requirements.txt
# What nothing here imports: downloads from Hugging Face's hub, which tokenizers would offer; ONNX
# Runtime's library for C, a second copy of what its Python module holds; packages' own tests.
# Bytecode is believed as it is (unchecked-hash): tools that set the times of an image's files
# would make all of it stale, and without a word each cold start would compile anew.
RUN python -m pip --python /opt/venv uninstall --quiet --yes hf-xet huggingface-hub && \
    rm /opt/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* && \
    find /opt/venv -type d -name tests -prune -exec rm -r {} + && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv

FROM ${BASE} AS code
COPY function LICENSE /app/
RUN chmod -R u=rwX,go=rX /app && \
    python -m compileall -q --invalidation-mode unchecked-hash /app

# What the image is made of, told in CycloneDX: from a stage whose tools stay behind.
FROM ${BASE} AS sbom
COPY requirements/sbom.txt deploy/sbom.py /
RUN python -m venv --without-pip /opt/sbom && \
    python -m pip --python /opt/sbom --disable-pip-version-check --no-input install --quiet \
        --no-cache-dir --no-compile --only-binary=:all: --require-hashes --requirement /sbom.txt
COPY --from=packages /opt/venv /opt/venv
COPY --from=models /chosen /chosen
COPY --from=code /app/zeropoint/__init__.py /
RUN version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' /__init__.py) && \
    /opt/sbom/bin/python /sbom.py "$version" /opt/venv/bin/python /chosen > /sbom.cdx.json

FROM ${BASE}
# The base comes without bytecode of the standard library, which each cold start would make anew,
# as it may not write it; and with pip.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
        -x '/(test|ensurepip|idlelib|tkinter|turtledemo|[a-z]+-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" && \
    find / -xdev \( -path '*-packages/pip*' -o -path '*/bin/pip*' -o -name ensurepip \
        -o -name 'pip-*.whl' \) -prune -exec rm -r {} +
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY --from=models /chosen /app/model_artifacts
COPY --from=code /app /app
COPY --from=sbom /sbom.cdx.json /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ZEROPOINT_CACHE=/tmp/zeropoint
USER 65532:65532
# Each model gives its known answer here, or there is no image.
RUN ["python", "-m", "zeropoint", "check"]

ARG BASE
ARG COMMIT=""
ENV ZEROPOINT_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="zeropoint" \
    org.opencontainers.image.description="Serverless, scale-to-zero inference for ONNX models" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${BASE}" \
    org.opencontainers.image.revision="${COMMIT}"
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "zeropoint"]
# serve alone listens on the loopback address, where nobody outside of the container comes.
CMD ["serve", "--host", "0.0.0.0"]
