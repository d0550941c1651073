"""Measure one thread alone and beside four threads that spin.

The same model with one thread, alone and beside four threads with the runtime's own spinning, in
turns; on two cores four threads are more than there are.
"""

from __future__ import annotations

from measuring.runs import Entry, bench, model, options, resume, shares

NAMES = ("cifar10_resnet20", "imagenet_squeezenet")


def compare(number: int) -> Entry:
    """Measure one thread alone and beside four, whichever comes first."""
    name = NAMES[number % len(NAMES)]
    both = {"alone": ["--threads", 1], "beside": ["--threads", 1, "--threads", 4]}
    order = list(both) if number // len(NAMES) % 2 else list(both)[::-1]
    found = {
        how: bench(model(name), *both[how], "--budget", "10s", "--precision", "0.5%")
        for how in order
    }
    medians = {how: found[how]["rows"][0]["median"] for how in both}
    return {
        "model": name,
        "first": order[0],
        "alone": medians["alone"]["value"],
        "beside": medians["beside"]["value"],
        "ratio": round(medians["beside"]["value"] / medians["alone"]["value"], 5),
        "four": shares(found["beside"]["rows"][1]["median"]),
    }


if __name__ == "__main__":
    resume("measuring_spinning", options(__doc__, 12), compare)
