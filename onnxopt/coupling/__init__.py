"""Which dimensions of which tensors shrink together when a unit goes, and taking units away."""

from __future__ import annotations

from onnxopt.coupling.groups import Coupling, Group, Member, couple
from onnxopt.coupling.place import Role
from onnxopt.coupling.surgery import cut
from onnxopt.coupling.table import TABLE

__all__ = ["TABLE", "Coupling", "Group", "Member", "Role", "couple", "cut"]
