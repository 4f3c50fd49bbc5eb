"""How a training tells people where it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrainingProgress:
    """A bar over all steps with rate, time left and each task's loss; a line for every evaluation.

    Without a terminal, a plain line an epoch.
    """

    def __init__(self, steps: int, epochs: int, done: int = 0, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._live = self.console.is_terminal
        self._epochs = epochs
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
            disable=not self._live,
            speed_estimate_period=120,
        )
        self._id = self._bar.add_task("epoch 1", total=steps, completed=done, rate="", losses="")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, epoch: int, losses: Mapping[str, float], images_per_second: float) -> None:
        """One step was made."""
        shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._bar.update(
            self._id, advance=1, description=f"epoch {epoch + 1}/{self._epochs}",
            rate=f"{images_per_second:.0f} images/s", losses=shown,
        )  # fmt: skip

    def epoch(self, epoch: int, losses: Mapping[str, float], images_per_second: float, left_s: float) -> None:
        """One epoch was made."""
        if not self._live:
            shown = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            self.console.print(
                f"epoch {epoch + 1}/{self._epochs}  {images_per_second:.1f} images/s  "
                f"{left_s / 60:.1f} min left  {shown}",
                highlight=False,
                soft_wrap=True,
            )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, highlight=False, soft_wrap=True)
