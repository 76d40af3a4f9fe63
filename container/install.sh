#!/bin/sh
# What the Dockerfile and apptainer.def share: all but FSL's engine and Greedy, in the lock's versions, without tools for
# development that the lock holds too. Torch is the one for processors, 0.7 GB; that for GPUs takes 4.5 with its CUDA.
set -eu
cd "$(dirname "$0")/.."
python -m pip install --no-cache-dir --quiet uv==0.13.9
uv pip install --python "$(command -v python)" --torch-backend cpu --no-cache --compile-bytecode \
    --constraint requirements.lock --editable ".[methods,scans]"
python -m pip uninstall --yes --quiet uv
# for users who may not write here
python -m compileall -q .
