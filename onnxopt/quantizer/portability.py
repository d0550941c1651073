"""Whether a quantized model keeps its outputs on processors that saturate."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.base import Load
from onnxopt.quantization.saturation import Saturating
from onnxopt.quantizer.guard import Guard
from onnxopt.quantizer.report import Portability


def portability(model: ir.Model, guard: Guard, open_: Load) -> Portability:
    """Hold a quantized model, computed as x86 without VNNI does, against the float model.

    ``open_`` opens a model on a runtime that does not optimize it.
    """
    with Saturating(model, open_) as session:
        loss = guard.loss(session)
        shares = {name: changed / of for name, (changed, of) in session.touched.items() if of}
    return Portability(
        sqnr_db=loss.sqnr_db,
        agreement=loss.agreement,
        touched={name: share for name, share in shares.items() if share},
    )
