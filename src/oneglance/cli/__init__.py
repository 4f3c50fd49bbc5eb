"""The command ``oneglance``: one file for each group of commands."""

from __future__ import annotations

from oneglance.cli import (
    affinity,
    check,
    comparing,
    convert,
    demo,
    evaluation,
    explaining,
    gallery,
    init,
    prediction,
    training,
    tuning,
)
from oneglance.cli.app import app

for group in (
    demo,
    init,
    check,
    training,
    evaluation,
    comparing,
    affinity,
    tuning,
    explaining,
    prediction,
    gallery,
    convert,
):
    group.register(app)


def main() -> None:
    """The entry point of the command line.

    Exit codes: 0, all is well; 1, `check` found problems; 2, something is wrong with the input; 130, Ctrl-C.
    """
    app()


__all__ = ["app", "main"]
