#!/usr/bin/env bash
# Run the tests of the Fisher engine and its benchmark on a GPU, in at most eight minutes, and write
# what was found to one JSON file. Nothing is installed and no network is needed.
#
#   benchmarks/gpu.sh [--device cuda|cpu] [--to FILE]
#
# The Python (PYTHON, or python3) must have torch with CUDA, numpy, numba, safetensors, scikit-learn,
# scipy, transformers, pytest and hypothesis; with Triton, its kernel is timed too. `--device cpu` is
# a rehearsal: the same steps with few tests and one workload, in about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src:. OMP_NUM_THREADS=1
exec "${PYTHON:-python3}" -m benchmarks.fisher.gpu "$@"
