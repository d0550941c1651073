"""Whether `onnxopt bench` says what is true: each module is one figure."""
