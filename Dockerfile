# syntax=docker/dockerfile:1
# With a C compiler, which the slim image lacks: the data path is compiled.
FROM python:3.12 AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY proxy ./proxy
RUN python -m venv /opt/compiler && /opt/compiler/bin/pip install --no-cache-dir '.[compile]' && \
    ORIGINWARD_COMPILE=1 /opt/compiler/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/originward && /opt/originward/bin/pip install --no-cache-dir /wheels/*.whl

FROM python:3.12-slim
LABEL org.opencontainers.image.title="originward" \
      org.opencontainers.image.description="An origin-side mTLS verifying reverse proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed number, so that mounted keys can be given to it by chown.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin originward
COPY --from=build /opt/originward /opt/originward
ENV PATH=/opt/originward/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /etc/originward
EXPOSE 8443
# Asks the admin address of the example configurations, from inside the container; set HEALTH_ADDRESS where yours differs.
ENV HEALTH_ADDRESS=127.0.0.1:9901
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://' + os.environ['HEALTH_ADDRESS'] + '/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["originward"]
CMD ["run", "/etc/originward/originward.yaml"]
