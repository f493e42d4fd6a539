FROM python:3.11-slim

# Where pip finds a CPU build of the pinned torch, if its default index has none; without it several GB of CUDA arrive.
ARG PIP_EXTRA_INDEX_URL=""

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore HF_HOME=/models

# Volumes mounted here for the first time take over this owner.
RUN useradd --system --uid 10001 --create-home rollouts \
    && install --directory --owner=rollouts /models /state /srv/indexes

WORKDIR /build

# The libraries are a layer of their own, which a change of our code leaves as it is.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install --requirement requirements.txt --constraint constraints.txt

COPY . .
RUN pip install --no-deps . && rm -rf /build/*

USER rollouts
# Sources in the index file may be named relative to it.
WORKDIR /srv/indexes
CMD ["rollouts", "--help"]
