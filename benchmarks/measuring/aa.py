"""Count how often a model is called different from itself, every second time under load.

Five corpus models in turn, each against the same file. Under load the verdict is asked for with
``--force``, since on a machine that busy bench would rather say nothing.
"""

from __future__ import annotations

from measuring.runs import MODELS, Entry, background, bench, model, options, resume, shares


def compare(number: int) -> Entry:
    """Measure one model against itself."""
    name, load = MODELS[number // 2 % len(MODELS)], bool(number % 2)
    file = model(name)
    with background(load):
        report = bench(file, file, "--threads", 1, "--seed", number, "--force")
    first, second = report["rows"]
    return {
        "model": name,
        "load": load,
        "ratio": shares(second["ratio"]),
        "noise": shares(first["noise"]),
        "outcome": second["outcome"],
        "median": first["median"]["value"],
        "others": round(report["quiet"]["others"], 3),
        "seconds": round(report["seconds"], 1),
        "wall": round(report["wall"], 1),
    }


if __name__ == "__main__":
    resume("measuring_aa", options(__doc__, 200), compare)
