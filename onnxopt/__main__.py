"""Run the command line as ``python -m onnxopt``."""

from onnxopt.cli import main

main()
