"""Prune one of the corpus' CIFAR networks with Torch-Pruning, one shot, by group magnitude.

Run by `pruning_peers.py` with the interpreter of the peers' environment. The network is built in
torch from the weights in the ONNX file; its shortcuts, a stride and zeros for further channels, are
1x1 convolutions that compute just that, so that the dependency graph can follow them. The share of
channels that goes is searched for until the multiply-adds are what was asked for.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import onnx
import torch
import torch_pruning
from onnx import numpy_helper
from torch import nn

IMAGE = torch.zeros(1, 3, 32, 32)
STEPS = 12


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False)
            weight, pad = torch.zeros(after, before, 1, 1), (after - before) // 2
            weight[range(pad, pad + before), range(before)] = 1.0
            self.shortcut.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the shortcut."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class Network(nn.Module):
    """A stem, three stages of blocks, and a classifier."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1)
        widths = [16, *[16] * blocks, *[32] * blocks, *[64] * blocks]
        pairs = itertools.pairwise(widths)
        self.blocks = nn.Sequential(*(Block(a, b, 1 if a == b else 2) for a, b in pairs))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of ten classes."""
        return self.linear(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))

    def layers(self) -> Iterator[nn.Module]:
        """Yield the layers with weights of their own, in order."""
        yield self.stem
        for block in self.blocks:
            yield from (block.first, block.second)
        yield self.linear


def read(path: str) -> Network:
    """Build the network of an ONNX file."""
    graph = onnx.load(path).graph
    held = {each.name: torch.tensor(numpy_helper.to_array(each)) for each in graph.initializer}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    network = Network((len(weighted) - 2) // 6)
    for layer, node in zip(network.layers(), weighted, strict=True):
        layer.weight = nn.Parameter(held[node.input[1]])
        layer.bias = nn.Parameter(held[node.input[2]])
    return network.eval()


def pruned(path: str, ratio: float) -> tuple[nn.Module, float]:
    """Prune the same share of all groups; return the network and its multiply-adds."""
    network = read(path)
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    torch_pruning.pruner.BasePruner(
        network, IMAGE, importance, pruning_ratio=ratio, ignored_layers=[network.linear]
    ).step()
    return network, torch_pruning.utils.count_ops_and_params(network, IMAGE)[0]


def main() -> None:
    """Read an ONNX file, where to write and the share of the multiply-adds; write the result."""
    given, to, share = sys.argv[1], sys.argv[2], float(sys.argv[3])
    whole = torch_pruning.utils.count_ops_and_params(read(given), IMAGE)[0]
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        too_much = pruned(given, middle)[1] > share * whole
        low, high = (middle, high) if too_much else (low, middle)
    torch.onnx.export(
        pruned(given, high)[0],
        (IMAGE,),
        to,
        dynamo=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )


if __name__ == "__main__":
    main()
