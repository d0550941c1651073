"""How a module is called with named arrays, and what it returns taken apart into tensors."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxopt.errors import UsageError
from onnxopt.spec import nearest

if TYPE_CHECKING:
    import torch

_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Call:
    """Calls a module with tensors in the order in which its inputs are declared."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.names: tuple[str, ...] = ()
        self.parameters, self._required = _parameters(module)
        tensor = next(iter([*module.parameters(), *module.buffers()]), None)
        self.device = "cpu" if tensor is None else tensor.device

    def bind(self, names: Sequence[str]) -> None:
        """Say which inputs there will be.

        Raises UsageError for a name that ``forward`` does not have, and for one that it misses.
        """
        if self.parameters is not None:
            for name in names:
                if name not in self.parameters:
                    raise UsageError(
                        f"input '{name}': forward takes {', '.join(self.parameters)}"
                        + nearest(name, self.parameters)
                    )
            missing = [name for name in self._required if name not in names]
            if missing:
                raise UsageError(f"forward needs an input '{missing[0]}' as well")
        self.names = tuple(names)

    def __call__(self, *tensors: torch.Tensor) -> Any:
        if self.parameters is None:
            return self.module(*tensors)
        given = dict(zip(self.names, tensors, strict=True))
        first = []
        for name in self.parameters:
            if name not in given:
                break
            first.append(given.pop(name))
        return self.module(*first, **given)


def _parameters(module: torch.nn.Module) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the parameters of ``forward`` and those that must be given; None for any number."""
    try:
        found = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return None, ()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in found):
        return None, ()
    own = [parameter for parameter in found if parameter.kind not in _ANY]
    required = [p.name for p in own if p.default is inspect.Parameter.empty]
    return tuple(p.name for p in own), tuple(required)


def flat_module(call: Call) -> torch.nn.Module:
    """Return a module that takes the inputs in order and returns a flat tuple of tensors.

    Its parameters keep their names behind ``wrapped.``.
    """
    import torch

    class Flat(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.wrapped = call.module
            self.training = False

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(tensor for _, tensor in unwrap(call(*tensors))[0])

    return Flat()


def unwrap(result: Any) -> tuple[list[tuple[str, torch.Tensor]], dict[str, str]]:
    """Take a module's result apart: its tensors by name, and the kinds of what is none.

    Keys and fields give names, places give numbers: ``logits``, ``hidden_states.0``.
    """
    leaves: list[tuple[str, torch.Tensor]] = []
    left_out: dict[str, str] = {}
    _collect("", result, leaves, left_out)
    alone = len(leaves) == 1
    named = [
        (name if name and not name[0].isdigit() else "output" if alone else f"output_{name}", leaf)
        for name, leaf in leaves
    ]
    return named, left_out


def _collect(
    name: str, value: Any, leaves: list[tuple[str, torch.Tensor]], left_out: dict[str, str]
) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        leaves.append((name, value))
        return
    for key, element in _parts(value, name, left_out):
        _collect(f"{name}.{key}" if name else str(key), element, leaves, left_out)


def _parts(value: Any, name: str, left_out: dict[str, str]) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if value is not None:
        left_out[name or "output"] = type(value).__name__
    return []


def to_tensor(array: np.ndarray, device: Any) -> torch.Tensor:
    """Copy an array to a device; bfloat16 keeps its bits."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16).to(device)
    return torch.from_numpy(np.array(array, order="C")).to(device)


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16 keeps its bits."""
    import torch

    held = tensor.detach().cpu()
    if held.dtype == torch.bfloat16:
        import ml_dtypes

        return np.asarray(held.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return np.asarray(held.resolve_conj().numpy())
