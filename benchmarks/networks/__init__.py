"""The networks that are exported: one function each, in the files of this folder.

A network is a seeded torch module with its feeds. Sizes are small (hidden 64 to 128, 2 to 4
layers) save for those whose latency is measured. Freshly initialized networks have bias 0 and
norms of 1, which optimizers delete; `randomize` gives every one of them a value.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Size(NamedTuple):
    """One size of feeds: the batch, and the length of sequences (or the side of free images)."""

    batch: int
    length: int


class Network(NamedTuple):
    """A module whose forward takes ``feeds`` in order and returns a tuple of tensors."""

    module: nn.Module
    feeds: Callable[[Size], dict[str, Tensor]]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, Mapping[int, str]]
    sizes: tuple[Size, Size] = (Size(2, 12), Size(3, 19))


def catalogue() -> dict[str, Callable[[], Network]]:
    """Return every public function of the modules of this package, by its name."""
    found: dict[str, Callable[[], Network]] = {}
    for entry in pkgutil.iter_modules(__path__):
        if entry.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{entry.name}")
        for name, item in vars(module).items():
            if isinstance(item, FunctionType) and item.__module__ == module.__name__:
                found[name] = item
    return {name: made for name, made in sorted(found.items()) if name[0] != "_"}


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms, biases and constant tables values that no optimizer can take for 0 or 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, mean: float, spread: float) -> None:
        tensor.copy_(mean + spread * torch.randn(tensor.shape, generator=generator))

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if not parameter.is_floating_point():
                continue
            if name.endswith("bias"):
                normal(parameter, 0.0, 0.1)
            elif parameter.ndim <= 1:
                normal(parameter, 1.0, 0.1)
            elif parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                normal(parameter, 0.0, 0.1)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                normal(buffer, 0.0, 0.1)
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return module.eval()
