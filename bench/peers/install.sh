#!/usr/bin/env bash
# Installs the peers of bench/compare.mjs from PyPI into a virtual environment: diffusers on PyTorch, OpenVINO, and
# stable-diffusion.cpp's Python package, which is compiled from source for this machine with GGML_LLAMAFILE.
#
#   bench/peers/install.sh [FOLDER]     (default .peers; about 6 GB and 10 minutes)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-.peers}
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet -r "$here/requirements.txt"
CMAKE_ARGS="-DGGML_LLAMAFILE=ON -DGGML_NATIVE=ON" "$folder/bin/pip" install --quiet --no-deps \
  --no-binary stable-diffusion-cpp-python stable-diffusion-cpp-python==0.4.7
echo "ready: node bench/compare.mjs --python $folder/bin/python"
