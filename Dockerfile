# One image for every service: worker, topics, bridge and the Fluent simulator. Kafka is an image of its own.
# Base images by digest, so that a tag that moves changes nothing unseen. `docker buildx imagetools inspect
# python:3.12-slim` names the newest; take it from time to time, for its security updates.
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/flashsale && python -m venv /opt/build
COPY requirements-runtime.lock requirements-build.lock ./
RUN /opt/flashsale/bin/pip install --require-hashes -r requirements-runtime.lock \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY agents agents
COPY fluent fluent
COPY bridge bridge
COPY flashsale flashsale
COPY rehearsal rehearsal
# Without isolation: what builds the wheel comes from the lock too.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
    && /opt/flashsale/bin/pip install --no-deps --no-index /tmp/wheels/*.whl

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
ENV PATH=/opt/flashsale/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data
RUN useradd --system --uid 10001 --home-dir /app flashsale \
    && install -d -m 0700 -o flashsale -g flashsale /app /data
COPY --from=build /opt/flashsale /opt/flashsale
COPY config /app/config
WORKDIR /app
USER flashsale
VOLUME /data
CMD ["flashsale", "worker"]
