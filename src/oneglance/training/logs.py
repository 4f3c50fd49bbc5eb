"""What happened, step by step: a CSV that a person can open, and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

_HEADER = ("step", "epoch", "kind", "task", "name", "value")


class Logs:
    """``history.csv``, a row a figure (kind: loss, score, rate), and the same for TensorBoard in ``tensorboard/``.

    Resumed at a step, it forgets what was written after that step by the run that was interrupted.
    """

    def __init__(self, folder: Path, resume_at: int | None = None) -> None:
        path = folder / "history.csv"
        kept: list[list[str]] = []
        if resume_at is not None and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.reader(file) if row and row[0].isdigit() and int(row[0]) < resume_at]
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_HEADER, *kept])
        partial.replace(path)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_at)

    def write(self, step: int, epoch: int, kind: str, figures: Mapping[str, Mapping[str, float]]) -> None:
        """Figures by task and name."""
        for task, named in figures.items():
            for name, value in named.items():
                self._rows.writerow((step, epoch, kind, task, name, repr(float(value))))
                self._board.add_scalar(f"{kind}/{task}/{name}", value, step)
        self._file.flush()

    def __enter__(self) -> Logs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()
