"""The progress of stages as parts of one whole."""

from __future__ import annotations

from onnxopt.measure.run import Progress


class Parts:
    """Shows the progress of one stage after another; what is shown never goes back."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown = 0.0

    def __call__(self, name: str, low: float, high: float) -> Progress:
        """Return what shows how far a stage is, by its name, from ``low`` to ``high`` of all."""

        def show(share: float, text: str) -> None:
            self._shown = max(self._shown, low + (high - low) * min(share, 1.0))
            self._progress(self._shown, f"{name}: {text}" if text else name)

        show(0.0, "")
        return show
