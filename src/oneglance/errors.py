"""What goes wrong because of what a user gave us, said so that the user can mend it."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

logger = logging.getLogger("oneglance")


class OneglanceError(Exception):
    """A mistake in the input that nothing can be done about without the user.

    The message names the file, the key or the row, says what was expected and gives the next step; the command line
    prints it without a traceback.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean 'x'?`` for a misspelt name, or an empty string where nothing is near."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def bare(error: Exception, where: object) -> str:
    """An error's message without the name of the file, for where that stands beside it."""
    return str(error).removeprefix(str(where)).removeprefix(": ")


@dataclass(frozen=True)
class Problem:
    """One thing that was wrong with the data and was passed over.

    ``where`` names the file, and the row, line or object in it; ``what`` says what was found and what was expected.
    ``is_note``: nothing is wrong, but the user should know (images without labels, classes left out on purpose).
    """

    where: str
    what: str
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Problems:
    """The list of everything passed over: one bad image of a million is never fatal and never silent.

    Only the first ``keep`` problems are held in memory; all of them are counted.
    """

    keep: int = 10_000
    count: int = 0
    notes: int = 0
    kept: list[Problem] = field(default_factory=list)

    def add(self, where: object, what: str, *, is_note: bool = False) -> None:
        """Keep in mind that the thing at ``where`` was passed over because of ``what``."""
        self.count += 1
        self.notes += is_note
        if len(self.kept) < self.keep:
            self.kept.append(Problem(str(where), what, is_note))

    @property
    def wrong(self) -> int:
        """How many are more than notes."""
        return self.count - self.notes

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)

    def __len__(self) -> int:
        return self.count
