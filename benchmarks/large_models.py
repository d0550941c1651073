"""Write the models that scaling.py measures with: long chains and heavy weights.

python benchmarks/large_models.py chain --size 20000 OUT.onnx
python benchmarks/large_models.py inline --size 1500 OUT.onnx     (megabytes of weights)
python benchmarks/large_models.py external --size 3000 OUT.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 4096
LINK = 12


def chain_link(index: int, x: str) -> tuple[list[onnx.NodeProto], str]:
    """Return 12 nodes of which 3 must stay (Add, Relu, Mul): 6 are of constants, 3 do nothing."""

    def name(part: str) -> str:
        return f"{part}_{index}"

    def node(kind: str, inputs: list[str], output: str) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [name(output)])

    return [
        node("Mul", [name("constant"), "scale"], "scaled"),
        node("Sqrt", [name("scaled")], "root"),
        node("Add", [name("root"), "scale"], "moved"),
        node("Mul", [name("moved"), name("constant")], "mixed"),
        node("Neg", [name("mixed")], "negative"),
        node("Abs", [name("negative")], "offset"),
        node("Add", [x, name("offset")], "sum"),
        node("Identity", [name("sum")], "same"),
        node("Relu", [name("same")], "relu"),
        node("Reshape", [name("relu"), "shape"], "view"),
        node("Dropout", [name("view")], "kept"),
        node("Mul", [name("kept"), "scale"], "out"),
    ], name("out")


def write_chain(size: int, path: Path) -> None:
    """Write a chain of about ``size`` nodes over a tensor of 4 x 8."""
    nodes, x = [], "x"
    weights = {"shape": np.array([4, 8], np.int64), "scale": np.linspace(0.4, 0.6, 8)}
    for index in range(size // LINK):
        link, x = chain_link(index, x)
        nodes += link
        weights[f"constant_{index}"] = np.linspace(0.5, 1 + index / size, 8)
    nodes += [helper.make_node("Identity", [x], ["y"])]
    arrays = {k: v if v.dtype == np.int64 else v.astype(np.float32) for k, v in weights.items()}
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    write(graph, path)


def layer(index: int, x: str) -> tuple[list[onnx.NodeProto], str]:
    """Return one layer of the perceptron, with a dropout and an identity to be cut."""
    names = [f"{part}_{index}" for part in ("product", "sum", "drop", "same", "out")]
    product, total, drop, same, out = names
    nodes = [
        helper.make_node("MatMul", [x, f"weight_{index}"], [product]),
        helper.make_node("Add", [product, f"bias_{index}"], [total]),
        helper.make_node("Dropout", [total], [drop]),
        helper.make_node("Identity", [drop], [same]),
        helper.make_node("Relu", [same], [out]),
    ]
    return nodes, out


def weight(index: int, data: Path | None) -> onnx.TensorProto:
    """Return a 4096 x 4096 weight of 64 MB, in the message or at the end of a data file."""
    random = np.random.default_rng(index)
    array = random.random((WIDTH, WIDTH), np.float32) / WIDTH
    if data is None:
        return numpy_helper.from_array(array, f"weight_{index}")
    with data.open("ab") as stream:
        offset = stream.tell()
        stream.write(array.tobytes())
    tensor = TensorProto(name=f"weight_{index}", data_type=TensorProto.FLOAT, dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": data.name, "offset": str(offset), "length": str(array.nbytes)}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def write_perceptron(megabytes: int, path: Path, *, external: bool) -> None:
    """Write a perceptron of that many megabytes of weights."""
    data = path.with_name(path.name + ".weights") if external else None
    if data is not None:
        data.unlink(missing_ok=True)
    nodes, weights, x = [], [], "x"
    for index in range(megabytes * 10**6 // (WIDTH * WIDTH * 4)):
        more, x = layer(index, x)
        nodes += more
        bias = np.random.default_rng(index).normal(size=WIDTH).astype(np.float32)
        weights += [weight(index, data), numpy_helper.from_array(bias, f"bias_{index}")]
    nodes += [helper.make_node("Identity", [x], ["y"])]
    shape = ["batch", WIDTH]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    write(graph, path)


def write(graph: onnx.GraphProto, path: Path) -> None:
    """Wrap the graph as an opset 17 model and write it."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("chain", "inline", "external"))
    parser.add_argument("--size", type=int, required=True, help="nodes, or megabytes of weights")
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    if options.kind == "chain":
        write_chain(options.size, options.path)
    else:
        write_perceptron(options.size, options.path, external=options.kind == "external")


if __name__ == "__main__":
    main()
