"""Measure one thread alone and beside four threads that spin.

A pair is one launch of each: the model in one process with one thread, and the same beside four
threads with the runtime's own spinning; on two cores four threads are more than there are. What
single launches differ by is more than what is asked for, so it is the mean of many pairs that
counts, in alternating order. Beside four threads two processes with one thread take turns, as bench
starts them; both count.
"""

from __future__ import annotations

from measuring.runs import Entry, feeds_of, launched, least_known, model, options, resume
from onnxopt._startup import import_onnx_ir
from onnxopt.backends.cpu import Cpu
from onnxopt.measure.records import Variant

NAMES = ("cifar10_resnet20", "imagenet_squeezenet", "sst2_tiny_encoder")


def launch(name: str, threads: tuple[int, ...], number: int) -> float:
    """Return the logarithm of what one thread takes, the first of these numbers of threads."""
    variants = [
        Variant(label=f"{name} {count}", model=model(name), backend=Cpu(threads=count))
        for count in threads
    ]
    return launched(variants, feeds_of(name), number)[0]


def following(done: list[Entry]) -> list[int]:
    """Return the next pair: of the model whose mean is known least."""
    logs = {
        name: [run["beside"] - run["alone"] for run in done if run["model"] == name]
        for name in NAMES
    }
    return least_known(logs, 8)


def compare(number: int) -> Entry:
    """Measure one thread alone and beside four, whichever comes first."""
    name = NAMES[number % len(NAMES)]
    both = {"alone": (1,), "beside": (1, 4)}
    order = list(both) if number // len(NAMES) % 2 else list(both)[::-1]
    found = {how: launch(name, both[how], number) for how in order}
    return {"model": name, "first": order[0], **{how: round(found[how], 5) for how in both}}


if __name__ == "__main__":
    import_onnx_ir()
    resume("measuring_spinning", options(__doc__, 34 * len(NAMES)), compare, following)
