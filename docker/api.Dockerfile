# The service without DeepLabCut and torch: HTTP, pages, index, comparison. Build from the repository's root:
#   docker build -f docker/api.Dockerfile -t labsys-api:0.1.0 .
FROM python:3.12-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY labsys ./labsys
COPY calibration ./calibration
COPY pipelines ./pipelines
COPY api ./api
COPY hardware_configs ./hardware_configs

# The headless OpenCV goes in last, over the wheel that needs graphics libraries (docs/adr/0003-headless-opencv-last.md).
RUN pip install -c constraints.txt . \
    && pip install --force-reinstall --no-deps "$(grep '^opencv-python-headless==' constraints.txt)"

RUN useradd --create-home --uid 10001 labsys && mkdir /lab && chown labsys:labsys /lab
USER labsys
VOLUME /lab
ENV LABSYS_LAB=/lab

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('LABSYS_PORT', '8000') + '/api/v1/metrics', timeout=4)"]

# The service answers the machine that it runs on and nothing else; compose.yml shares the host's network for that reason.
CMD ["labsys", "serve"]
