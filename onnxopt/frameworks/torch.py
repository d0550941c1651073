"""PyTorch modules and exported programs, by both of torch's exporters."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from onnxopt.errors import ModelError
from onnxopt.framework import FOREIGN, Declared, Framework, RefusedError, Subject, named, refusals
from onnxopt.frameworks._torch import Call, flat_module, to_array, to_tensor, unwrap
from onnxopt.target import Feeds, Outputs

if TYPE_CHECKING:
    import torch

DYNAMO, PLAIN, SCRIPT = "dynamo", "dynamo-unoptimized", "torchscript"


class Torch(Framework):
    """``torch.nn.Module``, ``torch.export.ExportedProgram`` and TorchScript modules."""

    modules: ClassVar = ("torch",)
    needs: ClassVar[Mapping[str, str]] = {"torch": "torch", "onnxscript": "onnxscript"}

    def owns(self, kind: type) -> bool:
        """Leave tensors and all else that is torch's but no model."""
        return f"{kind.__module__}.{kind.__name__}" in (
            "torch.nn.modules.module.Module",
            "torch.export.exported_program.ExportedProgram",
        )

    def reads(self, path: Path) -> bool:
        """``.pt2`` holds an exported program; a ``.pt`` may run any code when it is loaded."""
        return path.suffix == ".pt2"

    def load(self, path: Path) -> object:
        """Load an exported program."""
        import torch

        with refusals(f"{path}: is no exported program"):
            return torch.export.load(path).module()

    def subject(self, thing: object, outputs: Sequence[str]) -> Subject:
        """Take a module, which is run and exported in evaluation mode and left as it was."""
        import torch

        if isinstance(thing, torch.export.ExportedProgram):
            thing = thing.module()
        if not isinstance(thing, torch.nn.Module):
            raise ModelError(f"torch: expected a torch.nn.Module, not {thing!r:.60}")
        return _Module(thing, outputs)


class _Module(Subject):
    def __init__(self, module: torch.nn.Module, outputs: Sequence[str]) -> None:
        import torch

        self._module, self._names = module, tuple(outputs)
        self._call = Call(module)
        self.notes: list[str] = []
        self._found: tuple[str, ...] = ()
        self._untraced = False
        scripted = isinstance(module, torch.jit.ScriptModule)
        self.exporters = (SCRIPT,) if scripted else (DYNAMO, PLAIN, SCRIPT)

    def arguments(self) -> tuple[str, ...] | None:
        """Return the parameters of ``forward``; None where it takes any number."""
        return self._call.parameters

    def settle(self, signature: Sequence[Declared]) -> None:
        """Bind the inputs to parameters of ``forward``."""
        self._call.bind([each.name for each in signature])

    def run(self, feeds: Feeds) -> Outputs:
        """Run the module without gradients."""
        import torch

        tensors = [to_tensor(feeds[name], self._call.device) for name in self._call.names]
        with _evaluating(self._module), torch.no_grad(), refusals("the module"):
            leaves, left_out = unwrap(self._call(*tensors))
        for name, kind in left_out.items():
            note = f"output '{name}' is a {kind} and left out: ONNX has tensors only"
            self.notes += [note] if note not in self.notes else []
        if not leaves:
            raise ModelError("the module returns no tensors")
        found = named([(n, to_array(t)) for n, t in leaves], self._names, self._call.names)
        self._found = tuple(found)
        return found

    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        """Export by ``torch.export``, with the exporter's own optimizer or without, or by a trace.

        Weights of 1.5 GB and more go to a file beside the model, one after the other.
        """
        if not self._found:
            self.run(feeds)
        if exporter == PLAIN and self._untraced:
            raise RefusedError("as before: torch.export does not get to the optimizer")
        tensors = tuple(to_tensor(feeds[each.name], self._call.device) for each in signature)
        axes = {
            d.name: {i: _axis(n) for i, n in enumerate(d.dims) if isinstance(n, str)}
            for d in signature
        }
        with _evaluating(self._module), refusals(""), _hushed() as told:
            flat = flat_module(self._call)
            options = {"opset_version": opset, "input_names": list(axes)}
            options["output_names"] = list(self._found)
            if exporter == SCRIPT:
                _trace(flat, tensors, axes, path, options)
            else:
                _save(self._translated(flat, tensors, axes, options, exporter == DYNAMO), path)
        self.notes += [note for note in told if note not in self.notes]

    def _translated(
        self,
        module: torch.nn.Module,
        tensors: tuple[torch.Tensor, ...],
        axes: Mapping[str, Mapping[int, str]],
        options: Mapping[str, Any],
        optimize: bool,
    ) -> torch.onnx.ONNXProgram:
        """Translate the module, and note where it is not the optimizer that fails."""
        try:
            return _translated(module, tensors, axes, options, optimize)
        except FOREIGN as error:
            self._untraced = type(error).__name__ == "TorchExportError"
            raise


def _axis(name: str) -> str:
    """Return a name that torch takes for an axis; an expression of others becomes one word."""
    return re.sub(r"\W+", "_", name).strip("_")


def _trace(
    module: torch.nn.Module,
    tensors: tuple[torch.Tensor, ...],
    axes: Mapping[str, Mapping[int, str]],
    path: Path,
    options: Mapping[str, Any],
) -> None:
    import torch

    with torch.no_grad():
        torch.onnx.export(
            module, tensors, str(path), dynamo=False, dynamic_axes=axes, verbose=False, **options
        )


def _translated(
    module: torch.nn.Module,
    tensors: tuple[torch.Tensor, ...],
    axes: Mapping[str, Mapping[int, str]],
    options: Mapping[str, Any],
    optimize: bool,
) -> torch.onnx.ONNXProgram:
    import torch

    shapes = {"tensors": tuple(axes.values())} if any(axes.values()) else None
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            tensors,
            dynamo=True,
            dynamic_shapes=shapes,
            optimize=optimize,
            verbose=False,
            **options,
        )
    if program is None:
        raise RefusedError("the exporter returned nothing")
    return program


def _save(program: torch.onnx.ONNXProgram, path: Path) -> None:
    size = sum(
        value.const_value.nbytes
        for value in program.model.graph.initializers.values()
        if value.const_value is not None
    )
    program.save(path, external_data=size > _INSIDE)


_INSIDE = 1_500_000_000
"""Bytes of weights that a single file can hold with room to spare."""


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Switch every part of a module to evaluation, and back to what it was."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextlib.contextmanager
def _unprinted() -> Iterator[None]:
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


@contextlib.contextmanager
def _hushed() -> Iterator[list[str]]:
    """Keep the exporters from printing; what a trace warns of as made constant is collected."""
    told: list[str] = []
    loggers = [
        logging.getLogger(name)
        for name in (
            "torch.onnx",
            "torch.export",
            "onnxscript",
            "torch._export",
            "torch.fx",
            "onnx_ir",
        )
    ]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(record=True) as caught, _unprinted():
        warnings.simplefilter("always")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield told
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            told += [
                f"traced as constant: {Path(each.filename).name}, line {each.lineno}: "
                f"{str(each.message).partition('.')[0]}"
                for each in caught
                if each.category.__name__ == "TracerWarning"
            ]
