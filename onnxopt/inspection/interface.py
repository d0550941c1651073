"""What a model takes and gives, who made it, and which extents it leaves open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from onnxopt.graph import dims


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output."""

    name: str
    type: str
    """Element type, or the whole type of what is no tensor; empty where it is not declared."""
    shape: tuple[int | str | None, ...] | None
    default: bool = False
    """An input that need not be given: an initializer stands for it. Before version 4 of the format
    every initializer is listed among the inputs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenExtent:
    """An extent of an input that the model leaves open."""

    name: str
    places: tuple[str, ...]
    """Where it stands, as ``input:axis`` or ``output:axis``."""
    size: int | None
    """What it is counted at; None where no size could be chosen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Who made a model, and in which version of the format."""

    graph: str
    producer: str
    ir_version: int
    opsets: Mapping[str, int]
    """By domain; ONNX's own is ``ai.onnx``."""
    functions: tuple[str, ...]
    metadata: tuple[str, ...]
    """The keys of what the model says about itself."""


def origin(model: ir.Model) -> Origin:
    """Read what a model says about itself."""
    producer = " ".join(part for part in (model.producer_name, model.producer_version) if part)
    return Origin(
        graph=model.graph.name or "",
        producer=producer,
        ir_version=model.ir_version,
        opsets={domain or "ai.onnx": version for domain, version in model.opset_imports.items()},
        functions=tuple(
            f"{domain}::{name}" + (f":{overload}" if overload else "")
            for domain, name, overload in model.functions
        ),
        metadata=tuple(model.metadata_props),
    )


def ports(values: Iterable[ir.Value]) -> tuple[Port, ...]:
    """Describe inputs or outputs."""
    return tuple(_port(value) for value in values)


def _port(value: ir.Value) -> Port:
    type_ = value.type
    plain = isinstance(type_, ir.TensorType)
    text = "" if type_ is None else type_.dtype.name.lower() if plain else str(type_)
    return Port(name=value.name or "", type=text, shape=dims(value), default=value.is_initializer())


def open_extents(model: ir.Model, sizes: Mapping[str, int]) -> tuple[OpenExtent, ...]:
    """List the extents that inputs leave open, with where else each stands."""
    found: dict[str, list[str]] = {}
    for value in model.graph.inputs:
        for axis, size in enumerate(dims(value) or ()):
            if not isinstance(size, int):
                place = f"{value.name}:{axis}"
                found.setdefault(size or place, []).append(place)
    for value in model.graph.outputs:
        for axis, size in enumerate(dims(value) or ()):
            if isinstance(size, str) and size in found:
                found[size].append(f"{value.name}:{axis}")
    return tuple(
        OpenExtent(name=name, places=tuple(places), size=sizes.get(name))
        for name, places in found.items()
    )
