"""What operators do where an attribute is absent."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import onnx_ir as ir

from onnxopt.difference.scope import attribute_key


def is_default(node: ir.Node, attribute: ir.Attr, imports: Mapping[str, int]) -> bool:
    """Return whether a node would do the same without an attribute, by its operator's schema."""
    if attribute.is_ref():
        return False
    version = node.version or imports.get(node.domain, 1)
    default = _default(node.domain, node.op_type, version, attribute.name)
    return default is not None and attribute_key(default) == attribute_key(attribute)


@functools.cache
def _default(domain: str, operator: str, version: int, attribute: str) -> ir.Attr | None:
    import onnx.defs

    try:
        schema = onnx.defs.get_schema(operator, version, domain)
    except onnx.defs.SchemaError:
        return None
    declared = schema.attributes.get(attribute)
    if declared is None or not declared.default_value.name:
        return None
    default = ir.from_proto(declared.default_value)
    return default if isinstance(default, ir.Attr) else None
