"""Round weights so that what layers compute on the samples changes least."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.passes.quantize._reconstruct import Form, round_layers
from onnxopt.quantization import rounding, types
from onnxopt.quantization.params import Params
from onnxopt.quantization.types import TypeName


class Gptq(Pass):
    """Replace weights by numbers that a quantized type holds, chosen for the layers' outputs.

    Column by column, what rounding loses is made up for by the columns that are left, weighed by
    the second moments of the inputs (Frantar et al., GPTQ, 2022). The outermost integers of every
    scale are kept in use, so that fitting a scale to the new weights gives the same scale and
    rounding to it the same integers: a later quantization with this type, symmetry and block loses
    nothing more.
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

    def run(self, model: ir.Model, context: Context) -> int:
        """Round every layer's weight once, and return how many were."""
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
        found = rounding.gptq(weight, gram, params, symmetric=self.symmetric, damping=self.damping)
        return found, params
