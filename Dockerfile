# The service as an image: `docker build --tag orders .`, or `docker compose build`.
# The base is this argument alone. For a build that can be repeated bit by bit, give its digest too:
#   docker build --build-arg PYTHON_IMAGE=python:3.13.14-slim-trixie@sha256:... .
ARG PYTHON_IMAGE=python:3.13.14-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Packages first: a change of the code alone does not install them again. Only wheels whose hashes are in the lock come
# in, so nothing is compiled, and the environment has no pip of its own.
COPY requirements.lock /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python --disable-pip-version-check install --no-compile \
        --require-hashes --only-binary :all: --root-user-action ignore --requirement /build/requirements.lock
COPY cqrs /app/cqrs
COPY service /app/service
COPY schemas /app/schemas
# Byte code is written here, because nothing can be written where the service runs. Whatever the checkout's umask was,
# everybody may read it and nobody may write it.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app/cqrs /app/service \
    && chmod -R u=rwX,go=rX /opt/venv /app

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    LOG_FORMAT=json \
    MANAGEMENT_HOST=0.0.0.0 \
    STATE_PATH=/tmp/state
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

ARG PYTHON_IMAGE
ARG VERSION=0.0.0-dev
ARG REVISION=
ARG CREATED=
ARG SOURCE=
ENV SERVICE_VERSION=${VERSION}
LABEL org.opencontainers.image.title="orders" \
      org.opencontainers.image.description="The order service: commands from Kafka to a bus, events back, in one trace." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# A number, so that an orchestrator can see without a look into the image that it is not root.
USER 10001:10001
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-m", "service", "health"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["run"]
