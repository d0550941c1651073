"""Any other execution provider of the installed ONNX Runtime, by its name."""

from __future__ import annotations

import importlib.util

from onnxopt.backends._install import max_opset, missing
from onnxopt.backends._ort import OrtBackend
from onnxopt.backends._pipelines import LOSSLESS
from onnxopt.errors import UsageError
from onnxopt.target import Target


class Provider(OrtBackend):
    """One of ONNX Runtime's providers, with options as the runtime reads them."""

    provider: str = "CPU"
    """``Xnnpack`` or ``XnnpackExecutionProvider``; case does not matter."""
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Raise UsageError for a name that ONNX Runtime has never heard of."""
        if importlib.util.find_spec("onnxruntime") is not None and not _names(self.provider):
            raise UsageError(
                f"neither a target nor a provider of onnxruntime: '{self.provider}'; "
                "see 'onnxopt targets' and onnxruntime.get_all_providers()"
            )

    @classmethod
    def target(cls) -> Target:
        """Return the facts that hold for every provider."""
        return Target(name="provider", pipeline=LOSSLESS, probe_max_opset=max_opset)

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get ONNX Runtime when it is not there."""
        return missing("CPUExecutionProvider")

    def provider_settings(self) -> tuple[str, dict[str, str]]:
        """Return the provider under the runtime's spelling and its options."""
        return full_name(self.provider), dict(self.options)


def full_name(name: str) -> str:
    """Return the runtime's spelling of a provider: ``dnnl`` is ``DnnlExecutionProvider``."""
    if importlib.util.find_spec("onnxruntime") is None:
        return name
    return next(iter(_names(name)), name)


def _names(name: str) -> list[str]:
    import onnxruntime as ort

    return [full for full in ort.get_all_providers() if _short(full) == _short(name)]


def _short(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")
