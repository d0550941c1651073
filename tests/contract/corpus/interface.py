"""What a model's surroundings rely on: names, types, versions, defaults, other domains."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.contract.corpus.build import floats, ints, model, norm, normal


def unused_input() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x, int64[m] ignored) => (float[n,3] y) {
            y = Relu(x)
        }"""
    )


def unused_nodes() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] y) {
            a = Exp(x)
            b = Add(a, w)
            c, d = TopK(b, one)
            y = Relu(x)
        }""",
        {"w": normal(3), "one": ints(1), "unused": normal(4)},
    )


def output_is_input() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[n,3] x, float[n,3] y) {
            y = Identity(x)
        }"""
    )


def output_is_weight() -> onnx.ModelProto:
    return model(
        """g (float[n,3] x) => (float[3] w, float[n,3] y, float[3] k) {
            y = Mul(x, w)
            k = Neg(w)
        }""",
        {"w": normal(3)},
    )


def outputs_share_a_value() -> onnx.ModelProto:
    """Two names for one result, and one of them is used further on."""
    return model(
        """g (float[n,3] x) => (float[n,3] y, float[n,3] z, float[n,3] u, float[n,3] v) {
            a = Relu(x)
            y = Identity(a)
            z = Identity(a)
            u = Exp(y)
            v = Exp(z)
        }"""
    )


def output_needed_inside() -> onnx.ModelProto:
    """An output is also an operand of what a fusion would swallow."""
    return model(
        """g (float[n,4] x) => (float[n,3] a, float[n,3] y) {
            a = MatMul(x, w)
            y = Add(a, k)
        }""",
        {"w": normal(4, 3), "k": normal(3)},
    )


def weights_may_be_overridden() -> onnx.ModelProto:
    """From IR version 4, a weight that is also an input is only a default."""
    return model(
        """g (float[n,3] x, float[3] w, float[3] k) => (float[n,3] y) {
            a = Mul(w, k)
            y = Mul(x, a)
        }""",
        {"w": normal(3), "k": normal(3, seed=1)},
    )


def weights_as_inputs_of_old() -> onnx.ModelProto:
    """Until IR version 3 every weight has to be an input."""
    return model(
        """g (float[n,3,8,8] x, float[4,3,3,3] w, float[4] s, float[4] b, float[4] m, float[4] v)
           => (float[n,4,6,6] y) {
            c = Conv(x, w)
            y = BatchNormalization(c, s, b, m, v)
        }""",
        {"w": normal(4, 3, 3, 3), **norm(4)},
        opset=7,
        ir_version=3,
    )


def opset_7() -> onnx.ModelProto:
    """Dropout without a ratio input, Slice and Upsample with attributes."""
    return model(
        """g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,8,8] z, float[1,2,2,4] u) {
            a = Dropout<ratio=0.3>(x)
            y = Add(a, k)
            z = Upsample<mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]>(x)
            u = Slice<axes=[2], starts=[1], ends=[-1]>(x)
        }""",
        {"k": normal(2, 1, 1)},
        opset=7,
        ir_version=4,
    )


def opset_9() -> onnx.ModelProto:
    """Squeeze, Unsqueeze, Pad, Clip and ReduceSum take attributes still."""
    return model(
        """g (float[n,1,3] x) => (float[n,3] y, float[n,1,5] z, float[n,1] u) {
            a = Squeeze<axes=[1]>(x)
            b = Unsqueeze<axes=[1]>(a)
            y = Squeeze<axes=[1]>(b)
            z = Pad<mode="constant", pads=[0,0,1,0,0,1], value=0.5>(x)
            c = Clip<min=0.0, max=1.0>(x)
            u = ReduceSum<axes=[2], keepdims=0>(c)
        }""",
        opset=9,
        ir_version=4,
    )


def opset_11() -> onnx.ModelProto:
    return model(
        """g (float[n,4] x) => (float[n,2] y, float[n,2] z, float[n,4] u) {
            y, z = Split<axis=1, split=[2,2]>(x)
            a = Softmax<axis=1>(x)
            u = Dropout<ratio=0.1>(a)
        }""",
        opset=11,
        ir_version=6,
    )


def opset_12() -> onnx.ModelProto:
    """Softmax still flattens all that follows its axis into one row."""
    return model(
        """g (float[n,3,4] x) => (float[n,3,4] y, float[n,3,4] z) {
            a = Softmax<axis=1>(x)
            y = Transpose<perm=[0,1,2]>(a)
            z = BatchNormalization(x, s, b, m, v)
        }""",
        norm(3),
        opset=12,
        ir_version=7,
    )


def custom_domain() -> onnx.ModelProto:
    """Nobody knows what the node in the middle does; it may even do it by chance."""
    return model(
        """g (float[n,3] x) => (float[n,3] y) {
            a = Relu(x)
            b = vendor.Magic<strength=2>(a, w)
            c = vendor.Magic<strength=2>(a, w)
            d = Identity(c)
            y = Add(b, d)
        }""",
        {"w": normal(3)},
        domains=["vendor"],
    )


def runtime_domain() -> onnx.ModelProto:
    """A fused operator of ONNX Runtime's own."""
    return model(
        """g (float[n,4] x) => (float[n,3] y) {
            a = com.microsoft.FusedGemm<activation="Relu">(x, w, k)
            y = Identity(a)
        }""",
        {"w": normal(4, 3), "k": normal(3)},
        domains=["com.microsoft"],
    )


def classic_machine_learning() -> onnx.ModelProto:
    """A linear classifier whose probabilities leave as a sequence of maps."""
    return model(
        """g (float[n,2] x) => (int64[n] label, seq(map(int64, float)) z) {
            a = Identity(x)
            label, p = ai.onnx.ml.LinearClassifier<classlabels_ints=[0,1],
                coefficients=[0.5,-1.0,-0.5,1.0], intercepts=[0.1,-0.1],
                post_transform="SOFTMAX">(a)
            z = ai.onnx.ml.ZipMap<classlabels_int64s=[0,1]>(p)
        }""",
        domains=["ai.onnx.ml"],
    )


def strings() -> onnx.ModelProto:
    return model(
        """g (string[n] x) => (string[n] y, bool[n] z) {
            y = Identity(x)
            w = Constant<value_strings=["yes"]>()
            z = Equal(x, w)
        }"""
    )


def uncommon_names() -> onnx.ModelProto:
    """Slashes, blanks, dots, numbers, letters beyond ASCII; one node without a name."""
    nodes = [
        helper.make_node("Identity", ["in put:0"], ["/a/b.1"], name="same"),
        helper.make_node("Relu", ["/a/b.1"], ["0"]),
        helper.make_node("Identity", ["0"], ["größe"]),
    ]
    given = helper.make_tensor_value_info("in put:0", TensorProto.FLOAT, ["n (any)", 3])
    result = helper.make_tensor_value_info("größe", TensorProto.FLOAT, ["n (any)", 3])
    graph = helper.make_graph(nodes, "main graph", [given], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def stale_shapes() -> onnx.ModelProto:
    """Shapes written down for values inside are left over from another batch size."""
    made = model(
        """g (float[n,3] x) => (float[m,3] y) {
            a = Relu(x)
            b = Reshape(a, keep)
            y = Exp(b)
        }""",
        {"keep": ints(-1, 3)},
    )
    info = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["old", 3])
    made.graph.value_info.append(info)
    return made


def metadata() -> onnx.ModelProto:
    """Notes on the model, a node and a value are somebody's."""
    made = model("g (float[n,3] x) => (float[n,3] y) { a = Identity(x) y = Relu(a) }")
    made.producer_name, made.doc_string = "somebody", "what it is for"
    helper.set_model_props(made, {"version": "7"})
    made.graph.node[1].metadata_props.add(key="origin", value="layer 1")
    return made


def no_inputs() -> onnx.ModelProto:
    """Everything is known: the whole model is a constant."""
    return model(
        """g () => (float[2] y) {
            a = Constant<value_floats=[1.0, 4.0]>()
            b = Sqrt(a)
            y = Add(b, w)
        }""",
        {"w": floats(1, 1)},
    )


def names_taken() -> onnx.ModelProto:
    """The names a rewrite would give its own values are in use already."""
    return model(
        """g (float[n,4] x) => (float[n,3] y) {
            y_MatMul = MatMul(x, y_const)
            y_Gemm = Add(y_MatMul, y_const_1)
            y_Add = Identity(y_Gemm)
            y = Mul(y_Add, y_const_1)
        }""",
        {"y_const": normal(4, 3), "y_const_1": normal(3)},
    )


def weights_computed() -> onnx.ModelProto:
    """What stands where weights stand comes from an input, or from nodes that could be folded."""
    return model(
        """g (float[n,3,8,8] x, float[4,3,3,3] given) => (float[n,4,6,6] y, float[n,4,6,6] z) {
            c = Conv(x, given)
            y = BatchNormalization(c, s, b, m, v)
            t = Transpose<perm=[3,2,0,1]>(raw)
            d = Conv(x, t)
            z = BatchNormalization(d, s, b, m, v)
        }""",
        {"raw": normal(3, 3, 3, 4), **norm(4)},
    )
