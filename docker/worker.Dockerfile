# The worker: everything that processes trials, with DeepLabCut and torch, for a machine with an NVIDIA card. Build from the
# repository's root:
#   docker build -f docker/worker.Dockerfile -t labsys-worker:0.1.0 .
FROM nvidia/cuda:12.6.3-runtime-ubuntu24.04

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/labsys/bin:$PATH

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/labsys

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY labsys ./labsys
COPY calibration ./calibration
COPY pipelines ./pipelines
COPY api ./api
COPY hardware_configs ./hardware_configs

# The headless OpenCV goes in last, over the wheel that needs graphics libraries (docs/adr/0003-headless-opencv-last.md).
RUN pip install -c constraints.txt '.[pose]' \
    && pip install --force-reinstall --no-deps "$(grep '^opencv-python-headless==' constraints.txt)"

RUN useradd --create-home --uid 10001 labsys && mkdir /lab && chown labsys:labsys /lab
USER labsys
VOLUME /lab
ENV LABSYS_LAB=/lab

# Healthy means: this machine can do the work, and the lab is there.
HEALTHCHECK --interval=5m --timeout=60s --start-period=60s --retries=2 \
    CMD ["labsys", "doctor", "--json"]

# Processes what is new or stale, then ends; `docker compose run worker` starts it again.
CMD ["labsys", "process", "--all", "--stale"]
