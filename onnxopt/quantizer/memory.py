"""What a search has found out, in a file, so that another run goes on from there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import ModelError


@dataclasses.dataclass(kw_only=True)
class Memory:
    """Noises of layers and drops of choices of layers; written down after every new one."""

    path: Path | None = None
    """None keeps them for this run only."""
    key: str = ""
    """Stands for the model and all that was asked for; what another key found is forgotten."""
    noise: dict[str, float] = dataclasses.field(default_factory=dict)
    drops: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def at(cls, path: Path | None, key: str) -> Memory:
        """Read what a file holds for a key, nothing where there is none.

        Raises ModelError for a file that is no such memory.
        """
        if path is None or not path.exists():
            return cls(path=path, key=key)
        try:
            held = json.loads(path.read_text())
            found = held["key"], dict(held["noise"]), dict(held["drops"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a search to go on with; remove the file") from error
        if found[0] != key:
            return cls(path=path, key=key)
        return cls(path=path, key=key, noise=found[1], drops=found[2])

    def drop(self, out: Collection[str]) -> float | None:
        """Return the drop that a choice of layers in float was found to have."""
        return self.drops.get(_name(out))

    def best(self, most: float) -> list[str] | None:
        """Return the fewest layers in float of all choices that drop by no more than a bound."""
        fit: list[list[str]] = [json.loads(out) for out, by in self.drops.items() if by <= most]
        return min(fit, key=len, default=None)

    def dropped(self, out: Collection[str], by: float) -> None:
        """Note the drop of a choice."""
        self.drops[_name(out)] = by
        self._write()

    def noisy(self, layer: str, noise: float) -> None:
        """Note the noise of a layer."""
        self.noise[layer] = noise
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(
            json.dumps({"key": self.key, "noise": self.noise, "drops": self.drops}, indent=1)
        )
        os.replace(beside, self.path)


def _name(out: Collection[str]) -> str:
    return json.dumps(sorted(out))


def digest(model: ir.Model, *asked: str) -> str:
    """Return what stands for a model, weights and calibrated ranges included, and some text."""
    found = hashlib.sha256("\n".join(asked).encode())
    for home in graph.graphs(model):
        for node in home:
            found.update(ir.serde.serialize_node(node).SerializeToString(deterministic=True))
            for value in node.outputs:
                found.update(repr(sorted(value.metadata_props.items())).encode())
        for value in home.inputs:
            found.update(repr((value.name, sorted(value.metadata_props.items()))).encode())
        for name, value in home.initializers.items():
            held = value.const_value
            found.update(name.encode() + (b"" if held is None else held.tobytes()))
    return found.hexdigest()
