"""Count how often a model is called different from itself, half of the time under load.

Five corpus models in turn, each against the same file. Under load two comparisons go on at once,
each on a CPU of its own, with two neighbours that come and go on both; the verdict is asked for
with ``--force``, since on a machine that busy bench would rather say nothing.
"""

from __future__ import annotations

import time

from measuring.runs import MODELS, Entry, bench, model, neighbours, options, resume, shares

QUIET = 100


def following(done: list[Entry]) -> list[int]:
    """Return the number of the next quiet comparison, or of the next pair under load.

    The quiet ones come first. Of every four numbers the first two are quiet, so that both halves
    go through all models.
    """
    under = sum(entry["load"] for entry in done)
    quiet = len(done) - under
    if quiet < QUIET:
        return [quiet // 2 * 4 + quiet % 2]
    return [under // 2 * 4 + 2, under // 2 * 4 + 3]


def compare(number: int) -> Entry:
    """Measure one model against itself."""
    name, load = MODELS[number // 4 % len(MODELS)], number % 4 >= 2
    file, cpu = model(name), number % 2 if load else None
    with neighbours(2 if load and number % 2 == 0 else 0, 1 / 3):
        report = bench(file, file, "--threads", 1, "--seed", number, "--force", cpu=cpu)
    first, second = report["rows"]
    return {
        "model": name,
        "load": load,
        "ratio": shares(second["ratio"]),
        "noise": shares(first["noise"]),
        "outcome": second["outcome"],
        "median": first["median"]["value"],
        "interval": [first["median"]["low"], first["median"]["high"]],
        "at": round(time.time()),
        "others": round(report["quiet"]["others"], 3),
        "seconds": round(report["seconds"], 1),
        "wall": round(report["wall"], 1),
    }


if __name__ == "__main__":
    resume("measuring_aa", options(__doc__, 2 * QUIET), compare, following)
