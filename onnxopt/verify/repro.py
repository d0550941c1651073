"""The smallest failing model: the surroundings of a wrong rewrite, cut out and written down."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.base import Evaluate, Gate, Observer
from onnxopt.errors import OnnxoptError
from onnxopt.feeds import Plan
from onnxopt.segments import part, reads
from onnxopt.target import Feeds
from onnxopt.verify.bisect import FAULTS, Quarantined
from onnxopt.verify.numbers import Comparison, Mismatch, Tolerance, compare

_REACHES = (0, 1, 2, 4, 8, 16)
"""Steps to neighbours by which the cut is widened until the difference shows; then it is all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repro:
    """Where the failing model is written, and what the commands in its README say."""

    folder: Path
    pipeline: str
    """The text of the pipeline that was run."""
    target: str = "cpu"


@dataclasses.dataclass(frozen=True)
class Scene:
    """The model just before and just after a wrong rewrite, and how both are run."""

    fault: Quarantined
    before: ir.Model
    after: ir.Model
    feeds: Sequence[Feeds]
    run: Callable[[ir.Model, Gate, Sequence[Observer]], object]
    evaluate: Evaluate


class _Only(Gate):
    """Lets the rewrites of one pass through and no others."""

    def __init__(self, pass_name: str) -> None:
        super().__init__()
        self._only = pass_name

    def permit(self, rule: str, value: str) -> bool:
        """Permit what the pass asks for."""
        return self.scope == self._only and super().permit(rule, value)


def write_repro(repro: Repro, scene: Scene) -> Path | None:
    """Write ``before.onnx``, ``after.onnx``, ``feeds.npz`` and ``README.txt``; return the folder.

    ``before`` is the smallest cut round the rewrite on which its pass alone still goes wrong, fed
    with the values that flow there in the whole model. Returns None where not even the whole model
    shows the difference again. A folder that is there already gets a number.
    """
    from onnxopt.io import save

    found = next(_failing(scene), None)
    if found is None:
        return None
    folder = _free(repro.folder)
    folder.mkdir(parents=True)
    save(found.before, folder / "before.onnx")
    if found.after is not None:
        save(found.after, folder / "after.onnx")
    _write_npz(folder / "feeds.npz", found.feeds)
    (folder / "README.txt").write_text(_readme(repro, scene.fault, found), encoding="utf-8")
    return folder


@dataclasses.dataclass(frozen=True)
class _Found:
    """Two models that differ, and the feeds that show it."""

    before: ir.Model
    after: ir.Model | None
    feeds: Feeds
    why: str


def _failing(scene: Scene) -> Iterator[_Found]:
    """Yield cuts that fail, the smallest first."""
    nodes = list(scene.before.graph)
    region = _changed(scene.before, scene.after)
    tried = 0
    for reach in (*_REACHES, len(nodes)):
        chosen = nodes if reach == len(nodes) else _widened(nodes, region, reach)
        if len(chosen) == tried or not chosen:
            continue
        tried = len(chosen)
        cut, inputs = part(scene.before, chosen, _results(chosen))
        for feeds in _captured(scene, cut, inputs):
            found = _tried(scene, cut, feeds)
            if found is not None:
                yield found


def _tried(scene: Scene, cut: ir.Model, feeds: Feeds) -> _Found | None:
    """Run the guilty pass alone on a cut and compare."""
    rewritten = cut.clone()
    try:
        expected = scene.evaluate(cut, feeds)
    except OnnxoptError:
        return None
    try:
        scene.run(rewritten, _Only(scene.fault.site.pass_name), ())
    except FAULTS as error:
        return _Found(cut, None, feeds, f"{type(error).__name__}: {error}")
    result = _outcome(scene, cut, rewritten, feeds, expected)
    if not result.mismatches:
        return None
    return _Found(cut, rewritten, feeds, str(result.mismatches[0]))


def _outcome(
    scene: Scene, cut: ir.Model, rewritten: ir.Model, feeds: Feeds, expected: dict[str, np.ndarray]
) -> Comparison:
    names = {value.name for value in rewritten.graph.inputs}
    try:
        actual = scene.evaluate(rewritten, {k: v for k, v in feeds.items() if k in names})
    except OnnxoptError as error:
        return Comparison((Mismatch("", str(error)),))
    return compare(expected, actual, Tolerance.of(cut))


def _changed(before: ir.Model, after: ir.Model) -> set[int]:
    """Return the nodes of ``before`` that are not the same in ``after``, by ``id``."""
    kept = {_key(node): node for node in after.graph}
    changed = {id(node) for node in before.graph if _key(node) not in kept}
    for name, value in before.graph.initializers.items():
        other = after.graph.initializers.get(name)
        if other is not None and not _same(value.const_value, other.const_value):
            changed |= {id(use.node) for use in value.uses()}
    return changed


def _key(node: ir.Node) -> bytes:
    bare = ir.to_proto(node)
    bare.ClearField("name")
    bare.ClearField("metadata_props")
    bare.ClearField("doc_string")
    data: bytes = bare.SerializeToString(deterministic=True)
    return data


def _same(one: ir.TensorProtocol | None, two: ir.TensorProtocol | None) -> bool:
    if one is None or two is None or one is two:
        return one is two
    if isinstance(one, ir.ExternalTensor) and isinstance(two, ir.ExternalTensor):
        return (one.path, one.offset, one.length) == (two.path, two.offset, two.length)
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def _widened(nodes: list[ir.Node], region: set[int], reach: int) -> list[ir.Node]:
    inside = set(region)
    for _ in range(reach):
        for node in [node for node in nodes if id(node) in inside]:
            inside |= {id(maker) for v in reads(node) if (maker := v.producer()) is not None}
            inside |= {id(use.node) for value in node.outputs for use in value.uses()}
    return [node for node in nodes if id(node) in inside]


def _results(nodes: list[ir.Node]) -> list[ir.Value]:
    """Return what the rest of the model, or its caller, reads of some nodes."""
    inside = {id(node) for node in nodes}
    return [
        value
        for node in nodes
        for value in node.outputs
        if value.is_graph_output() or any(id(use.node) not in inside for use in value.uses())
    ]


def _captured(scene: Scene, cut: ir.Model, inputs: list[ir.Value]) -> Iterator[Feeds]:
    """Yield what flows into a cut when the whole model runs; made up where it cannot run."""
    whole, _ = part(scene.before, list(scene.before.graph), inputs)
    for value in whole.graph.outputs:
        value.type = value.shape = None
    for feeds in scene.feeds if inputs else ():
        try:
            wanted = {value.name for value in whole.graph.inputs}
            flows = scene.evaluate(whole, {k: v for k, v in feeds.items() if k in wanted})
        except OnnxoptError:
            continue
        for value in cut.graph.inputs:
            array = flows[value.name or ""]
            value.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        yield flows
    if not scene.feeds or not inputs:
        plan = Plan.of(cut)
        yield plan.feeds(next(plan.sizes()))


def _free(folder: Path) -> Path:
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _write_npz(path: Path, feeds: Feeds) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in feeds.items():
            plain = array.astype(str) if array.dtype.kind == "O" else array
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(plain), allow_pickle=False)


def _readme(repro: Repro, fault: Quarantined, found: _Found) -> str:
    name = fault.site.pass_name
    match = re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])(\{{[^}}]*\}})?", repro.pipeline)
    step = match[0] if match else name
    return (
        f"{fault}\n\n"
        f"before.onnx ({len(found.before.graph)} nodes) is cut out of the model that was\n"
        "optimized; feeds.npz holds the values that flow there. On them, after.onnx differs:\n"
        f"{found.why}\n\n"
        "To see it again, here:\n\n"
        f'  onnxopt optimize before.onnx -o again.onnx --target {repro.target} -p "{step}"'
        " --samples feeds.npz\n\n"
        f"The pipeline in which it was found:\n\n  {repro.pipeline}\n"
    )
