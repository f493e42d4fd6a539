# Debian's own torch computes on the CPU; the default build of the package index brings several GB for graphics cards.
FROM debian:trixie-slim

# Without OpenBLAS, Debian's torch multiplies by reference BLAS: 22 times slower.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libopenblas0-pthread python3-torch python3-venv \
    && rm -rf /var/lib/apt/lists/*

# What to take in its stead, for graphics cards: --build-arg TORCH=torch
ARG TORCH=""

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HOME=/models PATH=/opt/rollouts/bin:$PATH

# Volumes mounted here for the first time take over this owner.
RUN useradd --system --uid 10001 --create-home rollouts \
    && install --directory --owner=rollouts /models /srv/indexes \
    && install --directory --owner=rollouts --mode=0700 /state \
    && python3 -m venv --system-site-packages /opt/rollouts

WORKDIR /build

# The libraries are a layer of their own, which a change of our code leaves as it is.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['local'], sep='\n')" \
        > requirements.txt \
    && if [ -z "$TORCH" ]; then \
        sed -i -E '/^(torch|sympy)==/d' constraints.txt && pip list --format=freeze | grep '^torch==' >> constraints.txt; \
    fi \
    && pip install --requirement requirements.txt --constraint constraints.txt $TORCH

COPY . .
RUN pip install --no-deps . && rm -rf /build/*

USER rollouts
# Sources in the index file may be named relative to it.
WORKDIR /srv/indexes
CMD ["rollouts", "--help"]
