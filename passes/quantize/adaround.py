"""Round weights up or down by what their layers compute on the samples, again and again."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.passes.quantize._reconstruct import Form, round_layers
from onnxopt.quantization import rounding, types
from onnxopt.quantization.params import Params
from onnxopt.quantization.types import TypeName


class Adaround(Pass):
    """Replace weights by numbers that a type holds, for the least ``||W x - W_q x||^2``.

    The problem of AdaRound (Nagel et al., Up or Down?, 2020), solved by coordinate descent on the
    second moments of the inputs: from the integers of ``quantize/gptq`` on, until no single weight
    can be rounded otherwise to a smaller loss. Like there, a later quantization with this type,
    symmetry and block loses nothing more. Binary weights get the scales with the least loss.
    """

    lossless: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    type: TypeName = "uint4"
    symmetric: bool = False
    block: int = 32
    """Neighbouring inputs that share a scale; 0 is one scale for each output channel.

    Convolutions have one for each output channel always.
    """
    damping: float = 0.01
    """What is added to the second moments, as a share of their mean."""
    sweeps: int = 20
    """How often all weights are gone through, at most."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Round every layer's weight, and return how many were."""
        form = Form(
            type=types.named(self.type),
            block=self.block,
            symmetric=self.symmetric,
            damping=self.damping,
        )
        return round_layers(model, context, self.name, form, self._integers)

    def _integers(
        self, weight: np.ndarray, gram: np.ndarray, params: Params
    ) -> tuple[np.ndarray, Params]:
        return rounding.reconstruct(
            weight, gram, params, symmetric=self.symmetric, damping=self.damping, sweeps=self.sweeps
        )
