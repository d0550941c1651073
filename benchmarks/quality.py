"""Compare onnxopt with its peers on every model: correct, same interface, nodes that run.

Peers' files and their inspection are kept in MODELS/<model>/peers and made once; onnxopt's are made
anew unless --keep. Writes results/quality.json. The corpus' metric comes with --metric.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from common import (
    Case,
    add_case_options,
    cases,
    corpus_folder,
    run_measured,
    selected,
    write_results,
)
from peers import ONNXOPT, PEERS, run_peer

HERE = Path(__file__).resolve().parent


def inspect_files(case: Case, names: list[str], limit: float) -> dict[str, Any]:
    """Inspect the original and the named optimizers' files in a process of its own."""
    folder = case.folder / "peers"
    to = folder / "inspection.json"
    to.unlink(missing_ok=True)
    files = [str(folder / f"{name}.onnx") for name in names]
    script = str(HERE / "inspection.py")
    command = [sys.executable, script, str(case.folder), str(case.model), *files]
    ran = run_measured([*command, "--to", str(to)], limit)
    if to.exists():
        return dict(json.loads(to.read_text()))
    reason = {"error": f"inspection ended with status {ran.status}: {ran.tail[-200:]}"}
    if len(names) > 1:  # one file that crashes the runtime must not hide the others
        return {k: v for name in names for k, v in inspect_files(case, [name], limit).items()}
    return dict.fromkeys(names or ["original"], reason)


def optimize(case: Case, name: str, *, keep: bool, limit: float) -> dict[str, Any]:
    """Run one optimizer, or read what it took the last time."""
    record = case.folder / "peers" / f"{name}.json"
    if keep and record.exists():
        return dict(json.loads(record.read_text()))
    ran = run_peer(name, case.model, record.with_suffix(".onnx"), limit)
    record.write_text(json.dumps(ran))
    return ran


def examine(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Return for the original and each optimizer what it took and what its file is worth."""
    folder = case.folder / "peers"
    store = folder / "judged.json"
    judged = json.loads(store.read_text()) if store.exists() else {}
    names = [*PEERS, ONNXOPT] if not options.peers_only else list(PEERS)
    fresh = [n for n in names if n not in judged or (n == ONNXOPT and not options.keep)]
    ran = {
        name: optimize(case, name, keep=name != ONNXOPT or options.keep, limit=options.limit)
        for name in names
    }
    ready = [name for name in fresh if ran[name]["ok"]]
    found = inspect_files(case, ready, options.limit) if fresh else {}
    judged |= {name: {**ran[name], **found.get(name, {})} for name in fresh}
    if "original" in found:
        judged["original"] = found["original"]
    store.write_text(json.dumps(judged, indent=1))
    return {name: judged[name] for name in ["original", *names] if name in judged}


def correct(facts: dict[str, Any]) -> bool:
    """Say whether an optimized file gives the same numbers through the same interface."""
    same = facts.get("interface") in ("same", "refined")
    return bool(same and "runs" in facts and facts.get("difference", 2.0) <= 1.0)


def verdict(found: dict[str, Any]) -> dict[str, Any]:
    """Compare onnxopt with the best of the peers whose file is correct."""
    runs = {name: found[name]["runs"] for name in PEERS if correct(found[name])}
    best = min(runs, key=lambda name: runs[name], default=None)
    said = {"best_peer": best, "best_runs": runs.get(best or "")}
    mine = found.get(ONNXOPT)
    if mine is None:
        return said
    said |= {
        "correct": correct(mine),
        "at_full": mine.get("difference_at_full", 2.0)
        <= max(1.0, 2 * found["original"].get("difference_at_full", 0.0)),
        "interface": mine.get("interface") == "same",
        "checker": not mine.get("checker", "not checked") or bool(found["original"]["checker"]),
        "runs": mine.get("runs"),
        "lost": mine.get("lost"),
    }
    said["no_more_nodes"] = bool(correct(mine) and (best is None or mine["runs"] <= runs[best]))
    return said


def metric(case: Case, limit: float) -> dict[str, Any]:
    """Score the original and onnxopt's file on the corpus' labelled data."""
    scored = {}
    for which, model in (("original", case.model), (ONNXOPT, case.folder / "peers/onnxopt.onnx")):
        line = "import sys, evaluate; print(repr(evaluate.evaluate(sys.argv[1], sys.argv[2])))"
        command = [sys.executable, "-c", line, case.name, str(model)]
        ran = run_measured(command, limit, cwd=corpus_folder())
        scored[which] = ran.tail.strip().splitlines()[-1] if ran.tail.strip() else ""
    return {**scored, "unchanged": scored["original"] == scored[ONNXOPT]}


def line_of(case: Case, found: dict[str, Any], said: dict[str, Any]) -> str:
    """Return one line for the console."""
    counts = " ".join(
        f"{name}={facts.get('runs', '-')}{'' if name == 'original' or correct(facts) else '!'}"
        for name, facts in found.items()
    )
    return f"{case.name:38s} {counts} best={said['best_peer']}"


def main() -> None:
    """Read the command line, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    parser.add_argument("--peers-only", action="store_true", help="leave onnxopt out")
    parser.add_argument("--keep", action="store_true", help="keep onnxopt's files too")
    parser.add_argument("--metric", action="store_true", help="score corpus models (minutes)")
    parser.add_argument("--limit", type=float, default=300, help="seconds a process")
    options = parser.parse_args()
    results = {}
    for case in cases(options):
        (case.folder / "peers").mkdir(exist_ok=True)
        found = examine(case, options)
        said = verdict(found)
        if options.metric and case.group == "corpus":
            said["metric"] = metric(case, options.limit)
        results[case.name] = {"group": case.group, "verdict": said, "files": found}
        print(line_of(case, found, said), flush=True)
    name = "quality_peers" if options.peers_only else "quality"
    print(write_results(name, {"models": results}, part=selected(options)))


if __name__ == "__main__":
    main()
