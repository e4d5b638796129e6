# A site. PyTorch's wheels bring CUDA along, so a GPU needs nothing more than its driver and the
# NVIDIA container runtime on the host. Build it from the repository's root:
#   docker build -f docker/client.Dockerfile -t fedthaw-site .
# Pinned to a patch release. Where builds must be the same byte for byte, pin its digest as well:
#   FROM python:3.12.12-slim-bookworm@sha256:...   (`docker buildx imagetools inspect` prints it)
FROM python:3.12.12-slim-bookworm AS installed

# A fixed id, so that the owner of a volume or of a folder of the host is known beforehand.
RUN groupadd --gid 10001 fedthaw \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin fedthaw

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

ENV HOME=/tmp \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
ENTRYPOINT ["fedthaw"]

# Makes the demo's keys and phantoms, in volumes that take their owner from these folders.
FROM installed AS demo
COPY docker/demo-setup.sh /usr/local/bin/demo-setup.sh
RUN install -d -m 0700 -o 10001 -g 10001 /demo /demo/coordinator \
        /demo/north /demo/north/data /demo/north/home /demo/east /demo/east/data /demo/east/home
USER 10001:10001
ENTRYPOINT ["sh", "/usr/local/bin/demo-setup.sh"]
CMD ["/demo"]

FROM installed AS site
RUN install -d -m 0700 -o 10001 -g 10001 /data /var/lib/fedthaw/site /var/cache/fedthaw
ENV FEDTHAW_SITE_HOME=/var/lib/fedthaw/site \
    FEDTHAW_CACHE=/var/cache/fedthaw \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
VOLUME ["/var/lib/fedthaw/site", "/var/cache/fedthaw"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["fedthaw", "health", "127.0.0.1:9080"]
CMD ["site", "run", "/data", "--health", "127.0.0.1:9080"]
