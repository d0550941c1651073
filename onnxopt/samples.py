"""Streams of feeds: from files, from Python, read one at a time and as often as needed."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError, UsageError
from onnxopt.target import Feeds

LABELS = ("label", "labels")
"""Names under which a ``.npz`` file may hold what is expected, beside the model's inputs."""


class Sample(NamedTuple):
    """One set of feeds, and what is expected for it where that is known."""

    feeds: Feeds
    label: np.ndarray | None = None
    name: str = ""
    """What it is called where it was read: its file."""


def fingerprint(feeds: Iterable[Feeds]) -> str:
    """Return the SHA-256 of names, types, shapes and contents of feeds."""
    state = hashlib.sha256()
    for feed in feeds:
        for name, array in sorted(feed.items()):
            state.update(f"{name} {array.dtype} {array.shape} ".encode())
            texts = array.dtype.kind == "O"
            state.update(repr(array.tolist()).encode() if texts else array.tobytes())
    return state.hexdigest()


class Samples:
    """A stream of feeds that can be read again and again; labels where there are any."""

    def __init__(self, read: Callable[[], Iterator[Sample]], count: int | None = None) -> None:
        self._read = read
        self.count = count
        """How many there are, where that is known without reading them."""

    def __iter__(self) -> Iterator[Feeds]:
        """Read the feeds from the first on."""
        return (sample.feeds for sample in self._read())

    def labelled(self) -> Iterator[Sample]:
        """Read the feeds with their labels."""
        return self._read()

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that they hold, labels included."""
        return fingerprint(
            {**sample.feeds, "": np.empty(0) if sample.label is None else sample.label}
            for sample in self._read()
        )

    def first(self, count: int) -> Samples:
        """Return a stream of the first ``count`` samples."""

        def read() -> Iterator[Sample]:
            return (sample for sample, _ in zip(self._read(), range(count), strict=False))

        return Samples(read, None if self.count is None else min(count, self.count))

    @classmethod
    def of(cls, source: Iterable[Feeds] | Callable[[], Iterable[Feeds]]) -> Samples:
        """Make a stream of a list of feeds, or of a function that returns an iterable of them.

        Raises UsageError for a generator, which could be read only once.
        """
        if callable(source):
            make = source
            return cls(lambda: (Sample(feeds) for feeds in make()))
        if iter(source) is source:
            raise UsageError(
                "samples: an iterator can be read only once; pass a list, or the function itself"
            )
        whole = source
        count = len(whole) if isinstance(whole, Sized) else None
        return cls(lambda: (Sample(feeds) for feeds in whole), count)

    @classmethod
    def from_path(cls, path: Path | str, inputs: Sequence[ir.Value]) -> Samples:
        """Make a stream of a file or a folder, checked against a model's inputs.

        A file is a ``.npz`` with an array for each input, or, where the model has one input, a
        ``.npy`` or ``.pb``. A folder holds such files, or ``input_0.pb`` and so on, or folders of
        those (ONNX's ``test_data_set_0`` …). Raises ModelError that names file and input.
        """
        found = _entries(Path(path))
        if not found:
            raise ModelError(
                f"{path}: no samples (.npz, .npy, .pb) there; check the path of the samples"
            )
        return cls(lambda: (_sample(entry, inputs) for entry in found), len(found))


Given = Path | str | Samples | Iterable[Feeds] | Callable[[], Iterable[Feeds]] | None
"""What samples may be given as: a folder or file, a stream, feeds, or a function that makes them.
"""


def samples_of(given: Given) -> Path | Samples | None:
    """Return a stream, or the path of one; UsageError for what is neither."""
    if given is None or isinstance(given, Path | Samples):
        return given
    if isinstance(given, str):
        return Path(given)
    if isinstance(given, Mapping) or not (callable(given) or isinstance(given, Iterable)):
        raise UsageError(
            "samples: give a folder, a list of feeds {'x': array}, or a function that returns an "
            f"iterable of them, not {type(given).__name__}"
        )
    return Samples.of(given)


def named_samples(path: Path) -> Samples:
    """Make a stream of the ``.npz`` files of a path as they are, before inputs are known.

    Raises ModelError where there are none.
    """
    found = [files[0] for files in _entries(path) if files[0].suffix == ".npz"]
    if not found:
        raise ModelError(f"{path}: no .npz files there, which name the inputs that they are for")

    def read(file: Path) -> Sample:
        held = _npz(file)
        label = next((held.pop(key) for key in LABELS if key in held), None)
        return Sample(held, label, str(file))

    return Samples(lambda: map(read, found), len(found))


def check(path: Path) -> None:
    """Raise ModelError where there is no sample at a path."""
    if not _entries(path):
        raise ModelError(f"{path}: there are no .npz, .npy or .pb files; check the path")


def _entries(path: Path) -> list[tuple[Path, ...]]:
    """Return the files of every sample: one file each, or the numbered files of a folder."""
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder; check the path of the samples")
    if path.is_file():
        return [(path,)] if path.suffix in (".npz", ".npy", ".pb") else []
    numbered = tuple(sorted(path.glob("input_*.pb"), key=_number))
    if numbered:
        return [numbered]
    sets = sorted((entry for entry in path.glob("test_data_set_*") if entry.is_dir()), key=_number)
    if sets:
        return [entry for folder in sets for entry in _entries(folder)]
    files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy", ".pb"))
    return [(file,) for file in files]


def _number(path: Path) -> tuple[int, str]:
    digits = path.stem.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0, path.name)


def _sample(files: tuple[Path, ...], inputs: Sequence[ir.Value]) -> Sample:
    arrays = _arrays(files, [value.name or "" for value in inputs])
    label = None
    names = {value.name for value in inputs}
    for key in LABELS:
        if key in arrays and key not in names:
            label = arrays.pop(key)
    unknown = sorted(arrays.keys() - names)
    if unknown:
        raise ModelError(
            f"{files[0]}: the model has no input '{unknown[0]}'; it has {_listed(inputs)}"
        )
    feeds = {}
    for value in inputs:
        name = value.name or ""
        if name in arrays:
            feeds[name] = fitted(arrays[name], value, str(files[0]))
        elif not value.is_initializer():
            raise ModelError(f"{files[0]}: nothing for input '{name}'; it holds {_keys(arrays)}")
    return Sample(feeds, label, str(files[0]))


def _listed(inputs: Sequence[ir.Value]) -> str:
    return ", ".join(f"'{value.name}'" for value in inputs) or "none"


def _keys(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"'{name}'" for name in arrays) or "no arrays"


def _arrays(files: tuple[Path, ...], names: list[str]) -> dict[str, np.ndarray]:
    if len(files) == 1 and files[0].suffix == ".npz":
        return _npz(files[0])
    if len(files) > len(names):
        raise ModelError(
            f"{files[-1]}: {len(files)} files for the {len(names)} inputs of the model"
        )
    if len(files) == 1 and len(names) != 1 and not files[0].stem.startswith("input_"):
        raise ModelError(
            f"{files[0]}: one array, but the model has {len(names)} inputs; "
            "use a .npz with an array for each"
        )
    read = [_npy(file) if file.suffix == ".npy" else _pb(file) for file in files]
    known = [name if name in names else names[at] for at, (name, _) in enumerate(read)]
    return {name: array for name, (_, array) in zip(known, read, strict=True)}


def _npz(file: Path) -> dict[str, np.ndarray]:
    import zipfile

    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{file}: not a readable .npz ({error}); write it again") from error


def _npy(file: Path) -> tuple[str, np.ndarray]:
    try:
        return "", np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{file}: not a readable .npy ({error}); write it again") from error


def _pb(file: Path) -> tuple[str, np.ndarray]:
    import onnx

    proto = onnx.TensorProto()
    unreadable = importlib.import_module("google.protobuf.message").DecodeError
    try:
        proto.ParseFromString(file.read_bytes())
        return proto.name, ir.serde.deserialize_tensor(proto).numpy()
    except (OSError, ValueError, TypeError, unreadable) as error:
        raise ModelError(f"{file}: not a readable TensorProto ({error})") from error


def fitted(array: np.ndarray, value: ir.Value, where: str) -> np.ndarray:
    """Return the array as an input wants it, or raise ModelError with what was expected.

    Strings become objects, and types that NumPy has no name for come back from their raw bytes.
    Numbers are never converted: a wrong type is an error.
    """
    wanted = None if value.dtype is None else value.dtype.numpy()
    if wanted is not None:
        if array.dtype.kind in "US" and value.dtype == ir.DataType.STRING:
            array = array.astype(object)
        elif array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize:
            array = array.view(wanted)
    shape = None if value.shape is None else tuple(value.shape)
    fits = shape is None or (
        len(shape) == array.ndim
        and all(not isinstance(d, int) or d == n for d, n in zip(shape, array.shape, strict=True))
    )
    if fits and (wanted is None or array.dtype == wanted):
        return array
    dims = "" if shape is None else _dims(d if isinstance(d, int) else d.value for d in shape)
    raise ModelError(
        f"{where}: input '{value.name}' wants {wanted}{dims}, "
        f"but the array is {array.dtype}{_dims(array.shape)}"
    )


def _dims(dims: Iterable[int | str | None]) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in dims) + "]"
