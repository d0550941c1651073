"""Write a ResNet-50 with random weights, its norms folded into the convolutions: 97 MB.

python benchmarks/resnet50.py OUT.onnx
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
"""Blocks of each stage, and the channels inside them."""


class Network:
    """The nodes and weights that were made so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        """Add a node and return its output."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weight(self, *shape: int, spread: float) -> str:
        """Add a normally distributed weight and return its name."""
        name = f"weight_{len(self.weights)}"
        numbers = self._random.normal(0, spread, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(numbers, name))
        return name

    def conv(self, x: str, ways: tuple[int, int], size: int, stride: int, gain: float) -> str:
        """Add a convolution from so many channels to so many."""
        weight = self.weight(
            ways[1], ways[0], size, size, spread=gain * math.sqrt(2 / (ways[0] * size * size))
        )
        bias = self.weight(ways[1], spread=0.1)
        pads = [size // 2] * 4
        return self.node("Conv", [x, weight, bias], strides=[stride] * 2, pads=pads)

    def block(self, x: str, channels: int, inside: int, stride: int) -> str:
        """Add a bottleneck; its shortcut is a convolution where the shape changes."""
        wide = 4 * inside
        y = self.node("Relu", [self.conv(x, (channels, inside), 1, 1, 1.0)])
        y = self.node("Relu", [self.conv(y, (inside, inside), 3, stride, 1.0)])
        y = self.conv(y, (inside, wide), 1, 1, 0.5)
        same = stride == 1 and channels == wide
        shortcut = x if same else self.conv(x, (channels, wide), 1, stride, 0.7)
        return self.node("Relu", [self.node("Add", [y, shortcut])])


def write(path: Path) -> None:
    """Write the model; its input is [N, 3, 224, 224]."""
    made = Network()
    x = made.node("Relu", [made.conv("x", (3, 64), 7, 2, 1.0)])
    x = made.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (blocks, inside) in enumerate(STAGES):
        for block in range(blocks):
            x = made.block(x, channels, inside, 2 if stage and not block else 1)
            channels = 4 * inside
    x = made.node("Flatten", [made.node("GlobalAveragePool", [x])])
    weights = [made.weight(1000, channels, spread=0.02), made.weight(1000, spread=0.1)]
    made.node("Gemm", [x, *weights], transB=1)
    made.nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        made.nodes,
        "resnet50",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1000])],
        made.weights,
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    write(parser.parse_args().path)


if __name__ == "__main__":
    main()
