"""Operators that compute nothing, and those whose work only the data tell."""

from __future__ import annotations

import math

from onnxopt.costs.place import Place, Row, Work, extent_at
from onnxopt.shapes.extent import over, times

_MOVES = """
BitCast CenterCropPad Compress Concat ConcatFromSequence Constant ConstantOfShape DepthToSpace
Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop MaxUnpool NonZero
OneHot Optional OptionalGetElement OptionalHasElement Pad Range Reshape ReverseSequence Scan Scatter
ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
SequenceLength SequenceMap Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze
TensorScatter Tile Transpose Trilu Unsqueeze
"""
"""If, Loop, Scan and SequenceMap compute through their bodies, which are counted by themselves."""

_MADE = """
Bernoulli BlackmanWindow HammingWindow HannWindow MelWeightMatrix Multinomial RandomNormal
RandomNormalLike RandomUniform RandomUniformLike
"""

_BY_DATA = """
ImageDecoder MaxRoiPool NonMaxSuppression RegexFullMatch StringConcat StringNormalizer StringSplit
TfIdfVectorizer Unique
"""

_ML_MOVES = "ArrayFeatureExtractor CastMap CategoryMapper DictVectorizer FeatureVectorizer ZipMap"
_ML_BY_DATA = "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor"


def _nothing(place: Place) -> Work:
    return Work()


def _once(place: Place) -> Work:
    """One operation for each element that is made."""
    return Work(0, place.made())


def _by_data(place: Place) -> Work:
    """No products; how many operations it takes, only the data tell."""
    place.stop("how much it computes is only known from the data")
    return Work(0, None)


def _fft_ops(length: int) -> int:
    """Operations of a complex fast Fourier transform of any length: ``5 n log2 n``.

    Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
    """
    return math.ceil(5 * length * math.log2(length)) if length > 1 else 0


def _dft(place: Place) -> Work:
    """A transform along one axis, for each place on the other axes."""
    shape = place.shape(0)
    default = 1 if place.version < 20 else -2
    given = place.content(2) if place.has(2) else (place.integer("axis", default),)
    axis = given[0] if given else None
    if shape is None or not isinstance(axis, int):
        return Work(0, None)
    length = extent_at(shape, axis)
    wanted = place.content(1)
    if wanted and isinstance(wanted[0], int):
        length = wanted[0]
    if not isinstance(length, int):
        return Work(0, None)
    count = over(over(place.size(0), extent_at(shape, axis)), extent_at(shape, -1))
    return Work(0, times(count, _fft_ops(length)))


def _stft(place: Place) -> Work:
    """A product by the window, then a transform, for each frame."""
    wanted = place.content(3)
    length = wanted[0] if wanted else extent_at(place.shape(2), 0)
    frames = times(extent_at(place.out(), 0), extent_at(place.out(), 1))
    if not isinstance(length, int):
        return Work(0, None)
    return Work(0, times(frames, _fft_ops(length) + (length if place.has(2) else 0)))


def _linear_model(place: Place) -> Work:
    """Every row by all coefficients, which hold a column for each class or target."""
    coefficients = place.floats("coefficients") or ()
    return Work(times(extent_at(place.shape(0), 0), len(coefficients)))


def _support_vectors(place: Place) -> Work:
    """Every row by all support vectors, then their values by all coefficients."""
    vectors, coefficients = place.floats("support_vectors"), place.floats("coefficients")
    count = len(vectors or ()) + len(coefficients or ())
    return Work(times(extent_at(place.shape(0), 0), count))


ROWS: dict[str, Row] = {
    **dict.fromkeys(_MOVES.split(), _nothing),
    **dict.fromkeys(_MADE.split(), _once),
    **dict.fromkeys(_BY_DATA.split(), _by_data),
    "DFT": _dft,
    "STFT": _stft,
}

MICROSOFT: dict[str, Row] = {"ExpandDims": _nothing}

ML: dict[str, Row] = {
    **dict.fromkeys(_ML_MOVES.split(), _nothing),
    **dict.fromkeys(_ML_BY_DATA.split(), _by_data),
    "LinearClassifier": _linear_model,
    "LinearRegressor": _linear_model,
    "SVMClassifier": _support_vectors,
    "SVMRegressor": _support_vectors,
}
