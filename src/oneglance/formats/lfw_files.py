"""LFW's text files: pairs (two images of one person, or of two) in folds, and lists of people.

A pairs file begins with a line of one number (pairs of each sort in its only fold) or two (folds, pairs of each sort a
fold). Then, fold after fold, ``NAME N M`` for two images of one person and ``NAME N OTHER M`` for those of two people;
image N of NAME is called ``NAME/NAME_000N.jpg``. A people file holds ``NAME COUNT``, with a line of one number before
each fold, and before the first one of the number of folds. Tabs separate, or blanks where a line has no tab.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from oneglance.errors import OneglanceError
from oneglance.formats.files import read_text

#: What LFW calls an image: the person's name, and the image's number in at least four digits.
IMAGE_NAME = re.compile(r"^(?P<name>.+)_(?P<number>\d{4,})$")

#: A person's name and the number of one of the person's images.
Face = tuple[str, int]


@dataclass(frozen=True)
class Pair:
    """Two images: of one person where ``same``; ``fold`` from 0; ``line`` in the file, from 1."""

    first: Face
    second: Face
    fold: int
    line: int

    @property
    def same(self) -> bool:
        """Whether both are of one person."""
        return self.first[0] == self.second[0]


def face_of(path: PurePath) -> Face | None:
    """Which image of whom a file is by its name, if it is called as LFW calls them."""
    match = IMAGE_NAME.match(path.stem)
    return (match["name"], int(match["number"])) if match else None


def image_name(name: str, number: int) -> str:
    """What LFW calls an image, without its suffix."""
    return f"{name}_{number:04d}"


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file, in its order.

    Raises OneglanceError that names file and line for anything else: the folds are told by where a line stands, so that
    none can be passed over.
    """
    lines = _lines(path)
    number, header = lines[0] if lines else (1, [""])
    if len(header) > 2 or not all(word.isdecimal() and int(word) for word in header):
        raise OneglanceError(
            f"{path}: line {number}: the first line of a pairs file is the number of folds and that of matched pairs "
            f"a fold (`10 300`), or the latter alone; not {' '.join(header)[:60]!r}"
        )
    folds, each = (1, int(header[0])) if len(header) == 1 else (int(header[0]), int(header[1]))
    if len(lines) - 1 != 2 * folds * each:
        raise OneglanceError(
            f"{path}: line {number} says {folds} folds of {each} matched and {each} mismatched pairs, "
            f"{2 * folds * each} lines; {len(lines) - 1} follow"
        )
    pairs = []
    for k, (number, words) in enumerate(lines[1:]):
        where = f"{path}: line {number}"
        matched = k % (2 * each) < each
        if len(words) != (3 if matched else 4):
            wanted = "a matched pair, `NAME N M`" if matched else "a mismatched pair, `NAME N OTHER M`"
            raise OneglanceError(f"{where}: {wanted} is expected here, not {' '.join(words)[:80]!r}")
        name, first = words[0], _count(words[1], where)
        other, second = words[0] if matched else words[2], _count(words[-1], where)
        if (name == other) != matched:
            raise OneglanceError(f"{where}: a mismatched pair is expected here, both images are of {name!r}")
        pairs.append(Pair((name, first), (other, second), k // (2 * each), number))
    return pairs


def read_people(path: Path) -> dict[str, tuple[int, int]]:
    """How many images each person of a people file has, and the line that says so.

    Raises OneglanceError that names file and line for a line that is neither a person nor the size of a fold, for a
    person named twice, and where the sizes are not what follows.
    """
    people: dict[str, tuple[int, int]] = {}
    sizes: list[int] = []
    for number, words in _lines(path):
        where = f"{path}: line {number}"
        if len(words) == 1 and words[0].isdecimal():
            sizes.append(int(words[0]))
            continue
        if len(words) != 2:
            raise OneglanceError(f"{where}: `NAME COUNT` is expected, not {' '.join(words)[:80]!r}")
        if words[0] in people:
            raise OneglanceError(f"{where}: {words[0]!r} stands in line {people[words[0]][1]} already")
        people[words[0]] = (_count(words[1], where), number)
    if not people:
        raise OneglanceError(f"{path}: no person is named; `NAME COUNT` lines are expected")
    expected = sum(sizes[1:]) if len(sizes) > 1 else sum(sizes)
    if sizes and expected != len(people):
        raise OneglanceError(f"{path}: its sizes say {expected} people, {len(people)} are named")
    return people


def is_pairs_file(path: Path) -> bool:
    """Whether a file reads as pairs."""
    try:
        return bool(read_pairs(path))
    except OneglanceError:
        return False


def _count(word: str, where: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise OneglanceError(f"{where}: a number from 1 on is expected, not {word[:40]!r}")
    return int(word)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers (from 1) and words of the lines that hold any."""
    split = [
        (number, [word.strip() for word in line.strip().split("\t")] if "\t" in line.strip() else line.split())
        for number, line in enumerate(read_text(path).splitlines(), 1)
    ]
    return [(number, words) for number, words in split if words]
