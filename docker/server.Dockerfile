# The coordinator. Build it from the repository's root:
#   docker build -f docker/server.Dockerfile -t fedthaw-server .
# Pinned to a patch release. Where builds must be the same byte for byte, pin its digest as well:
#   FROM python:3.12.12-slim-bookworm@sha256:...   (`docker buildx imagetools inspect` prints it)
FROM python:3.12.12-slim-bookworm

# A fixed id, so that the owner of a volume or of a folder of the host is known beforehand.
RUN groupadd --gid 10001 fedthaw \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin fedthaw \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/fedthaw/coordinator /var/cache/fedthaw

# The dependencies first: they are gigabytes, and stay as they are when only the code changes.
WORKDIR /usr/src/fedthaw
COPY pyproject.toml docker/constraints.txt ./
# Extras of pyproject.toml, such as --build-arg EXTRAS="tensorboard mlflow".
ARG EXTRAS=""
RUN python -c "import os, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *(one for extra in os.environ['EXTRAS'].split() for one in p['optional-dependencies'][extra]), sep='\n')" > requirements.txt \
    && pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt
COPY README.md LICENSE ./
COPY shared shared
COPY server server
COPY client client
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

ENV FEDTHAW_COORDINATOR=/var/lib/fedthaw/coordinator \
    FEDTHAW_CACHE=/var/cache/fedthaw \
    HOME=/tmp \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
VOLUME ["/var/lib/fedthaw/coordinator", "/var/cache/fedthaw"]
EXPOSE 8443
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["fedthaw", "health", "127.0.0.1:9080"]
ENTRYPOINT ["fedthaw"]
CMD ["server", "run", "--health", "127.0.0.1:9080"]
