"""What the targets on ONNX Runtime share: session options and opening."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import onnx_ir as ir

from onnxopt.backends._install import missing, one_line, runtime_errors
from onnxopt.backends._session import OrtSession, to_ort_values
from onnxopt.backends._weights import split
from onnxopt.errors import BackendError
from onnxopt.target import EXECUTED, Backend

if TYPE_CHECKING:
    import onnxruntime as ort

    from onnxopt.backends._cudart import Clock

Optimization = Literal["off", "basic", "extended", "all"]

HELP = "https://onnxruntime.ai/docs/execution-providers"

_FOLDER = "session.model_external_initializers_file_folder_path"
_SILENT = 4


class OrtBackend(Backend):
    """Options of a session of ONNX Runtime; the defaults are the runtime's own."""

    threads: int = 0
    """Threads inside one operator; 0 is one per physical core."""
    inter_threads: int = 1
    """Branches of the graph that run at the same time."""
    spinning: bool = True
    """Idle threads wait in a busy loop: faster wake-up, and slower neighbours."""
    arena: bool = True
    """Keep freed memory for the next run."""
    mem_pattern: bool = True
    """Plan one block for all activations after the first run of a shape."""
    prepacking: bool = True
    """Rearrange weights for the kernels when the session opens."""
    denormal_as_zero: bool = False
    optimization: Optimization = "all"
    """How far the runtime rewrites the graph itself; ``all`` adds layouts to ``extended``."""
    save_optimized: Path | None = None
    """Where to write the graph that the runtime runs, after its own rewriting."""
    record: Path | None = None
    """The folder in which to record what every node of every run takes; it slows the runs."""

    def provider_settings(self) -> tuple[str, dict[str, str]]:
        """Return the runtime's name of the provider and the provider's own options."""
        raise NotImplementedError

    def others(self) -> Sequence[tuple[str, dict[str, str]]]:
        """Return providers, with their options, for what the first does not take; CPU is last."""
        return ()

    def open(self, model: ir.Model | Path) -> OrtSession:
        """Load a model; weights of an in-memory one are shared with it, not copied.

        Raises BackendError when the provider is missing or refuses the model.
        """
        provider, settings = self.provider_settings()
        why = missing(provider)
        if why is not None:
            raise BackendError(why)
        with contextlib.ExitStack() as stack:
            clock = self.clock()
            if clock is not None:
                stack.callback(clock.close)
                settings = {**settings, **clock.settings()}
            try:
                session, weights = self._create(model, provider, settings)
            except BackendError:
                if self.record is None or self.save_optimized is None:
                    raise
                # no file can hold the graph: too large, or compiled by the provider
                return dataclasses.replace(self, save_optimized=None).open(model)
            if provider not in session.get_providers():
                raise BackendError(
                    f"{provider} did not start although onnxruntime has it: a driver or a library "
                    f"of the device is missing, see {HELP}"
                )
            stack.pop_all()
        opened = self.session(session, weights, clock)
        opened.records = self.record is not None
        return opened

    def recording(self, folder: Path) -> Self:
        """Return this target with the runtime's profiler on, and the graph it runs in a file."""
        return dataclasses.replace(self, record=folder, save_optimized=folder / EXECUTED)

    def clock(self) -> Clock | None:
        """Return the device's clock, where there is one and it is to be read."""
        return None

    def session(
        self, session: ort.InferenceSession, weights: Sequence[ort.OrtValue], clock: Clock | None
    ) -> OrtSession:
        """Wrap what the runtime opened."""
        return OrtSession(session, self.provider_settings()[0], weights, clock=clock)

    def _create(
        self, model: ir.Model | Path, provider: str, settings: Mapping[str, str]
    ) -> tuple[ort.InferenceSession, list[ort.OrtValue]]:
        import onnxruntime as ort

        options = self.session_options()
        weights: list[ort.OrtValue] = []
        try:
            source: str | bytes = ""
            if isinstance(model, ir.Model):
                parts = split(model)
                source, weights = parts.proto, list(to_ort_values(parts.beside).values())
                if weights:
                    options.add_external_initializers(list(parts.beside), weights)
                if parts.folder is not None:
                    options.add_session_config_entry(_FOLDER, str(parts.folder.resolve()))
            else:
                source = str(model)
            session = ort.InferenceSession(
                source,
                options,
                providers=[(provider, dict(settings)), *self.others()],
                enable_fallback=0,
            )
        except runtime_errors() as error:
            what = model.graph.name if isinstance(model, ir.Model) else model
            raise BackendError(f"onnxruntime refuses '{what}': {one_line(error)}") from error
        return session, weights

    def session_options(self) -> ort.SessionOptions:
        """Translate the fields into the runtime's options."""
        import onnxruntime as ort

        levels = ort.GraphOptimizationLevel
        options = ort.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = self.threads
        if self.inter_threads > 1:
            options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
            options.inter_op_num_threads = self.inter_threads
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.mem_pattern
        options.graph_optimization_level = {
            "off": levels.ORT_DISABLE_ALL,
            "basic": levels.ORT_ENABLE_BASIC,
            "extended": levels.ORT_ENABLE_EXTENDED,
            "all": levels.ORT_ENABLE_ALL,
        }[self.optimization]
        for key, value in self._entries().items():
            options.add_session_config_entry(key, value)
        if self.save_optimized is not None:
            options.optimized_model_filepath = str(self.save_optimized)
        if self.record is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(self.record / "trace")
        return options

    def _entries(self) -> dict[str, str]:
        entries = {"session.record_ep_graph_assignment_info": "1"}
        if not self.spinning:
            entries["session.intra_op.allow_spinning"] = "0"
            entries["session.inter_op.allow_spinning"] = "0"
        if not self.prepacking:
            entries["session.disable_prepacking"] = "1"
        if self.denormal_as_zero:
            entries["session.set_denormal_as_zero"] = "1"
        return entries
