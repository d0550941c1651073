"""What a pruning says of the latency that came out."""

from __future__ import annotations

from onnxopt.measure.intervals import Estimate


def late(share: float, ratio: Estimate) -> str:
    """Say what to do where a latency stays above what was asked for."""
    return (
        f"latency is {ratio.value:.2f} of the model's and {share:.2f} was asked for: no widths "
        "that were allowed are so fast; lower --least or --multiple, or let --branches go"
    )


def early(share: float, ratio: Estimate) -> str:
    """Say what a latency below what was asked for means."""
    return (
        f"latency is {ratio.value:.2f} of the model's and {share:.2f} would have done: no widths "
        "lie closer; a larger share keeps more of the accuracy"
    )


def slower(block: int) -> str:
    """Say what to do where fewer channels take longer; ``block`` is of the target's layout."""
    widths = f", or --multiple {block}" if block else ""
    return (
        "the result does less work and is slower all the same: its numbers of channels do not fit "
        f"the blocks that the runtime computes in; ask for --latency{widths}"
    )
