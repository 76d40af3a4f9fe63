# The benchmark as a BIDS App, for processors:
#
#   docker build --tag mispel-benchmark .
#   docker run --rm --volume /data:/data mispel-benchmark /data/bids /data/out group --scanner ses --work-dir /data/work
FROM python:3.13-slim

WORKDIR /opt/mispel-benchmark
COPY LICENSE README.md Snakefile pyproject.toml requirements.lock ./
COPY baselines baselines
COPY config config
COPY container container
COPY core core
COPY evaluation evaluation
COPY mispel mispel
COPY profiles profiles
COPY segmentation segmentation
COPY studies studies
COPY workflow workflow
RUN container/install.sh

# caches lie at home, which anybody may write, whatever --user is
RUN useradd --create-home benchmark && chmod 1777 /home/benchmark
ENV HOME=/home/benchmark
USER benchmark
WORKDIR /home/benchmark
ENTRYPOINT ["mispel-benchmark"]
