#!/bin/sh
# Makes the environment of the peers, apart from the project's own: benchmarks/peers.sh [FOLDER]
set -eu
folder="${1:-$(dirname "$0")/../.peers}"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet \
    onnx==1.23.2 onnxruntime==1.32.0 onnxsim==0.8.1 onnxslim==0.1.98 onnxoptimizer==0.4.2 \
    onnxscript==0.7.2 torch==2.13.0 transformers==5.23.0 scikit-learn==1.9.1 skl2onnx==1.20.0 \
    torch-pruning==1.6.1 numpy scipy pillow
echo "made $folder"
