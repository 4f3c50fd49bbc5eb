"""Labelled Faces in the Wild's layout: ``NAME/NAME_0001.jpg``, a folder a person, with pairs and people as text files
(Huang et al. 2007). It serves any individuals: animals, whales' flukes, parts with a serial number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from oneglance.annotations import Identity, Record
from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.files import is_image_name, walk
from oneglance.formats.lfw_files import IMAGE_NAME, face_of, image_name, is_pairs_file, read_pairs, read_people
from oneglance.formats.reading import Reading, folder_of
from oneglance.formats.recognition import entries, folders, images_in, relative_to
from oneglance.formats.writing import Images, Losses, new_folder, one_task, tasks_to_write
from oneglance.manifest import Columns

#: What the writer calls the list of a split's people, and the reader looks for.
_PEOPLE = "people_{}.txt"


class LfwSettings(SourceSettings):
    """A folder a person (or individual), as Labelled Faces in the Wild has them; no person straddles a split."""

    types: ClassVar[frozenset[str]] = frozenset({"identity"})
    fields: ClassVar[tuple[str, ...] | None] = ("identity",)

    format: Literal["lfw"] = "lfw"
    images: Path | None = Field(default=None, description="The folder that holds the people's folders.")
    pairs: dict[str, Path] | Path | None = Field(
        default=None,
        description="Pairs to be scored on, a file or files by split: whoever occurs in it is in the split `test` (or "
        "in the one named) and never trained on. Default: `pairs.txt` in `root` if it is there. `{}`: there are none.",
    )
    people: dict[str, Path] | None = Field(
        default=None,
        description="Lists of people by split, such as `{train: peopleDevTrain.txt, val: peopleDevTest.txt}`; who is "
        "in none is divided by `splits`, all images of a person together. Default: `people_SPLIT.txt` in `root`, as "
        "they are written by `convert`.",
    )

    def read(self, columns: Columns, problems: Problems, base: Path) -> Iterator[Record]:
        """See :meth:`SourceSettings.read`."""
        reading = Reading(self, columns, problems, base)
        folder = folder_of(reading, self.images, "images" if self.images is not None else "root")
        return self._records(reading, folder)

    def _records(self, reading: Reading, folder: Path) -> Iterator[Record]:
        people = _images_by_person(reading, folder)
        splits = self._splits(reading, people)
        for person, names in people.items():
            name = self.rename.get(person, person)
            found = 0
            for relative in names:
                image = reading.image(folder, relative, folder / relative)
                if image is not None:
                    found += 1
                    yield reading.record(image, {t: Identity(name) for t in reading.tasks}, splits.get(person), name)
            if found == 1:
                reading.note(folder, "a person has one image; kept, but nothing of the same person can be compared")
        reading.finish()

    def _splits(self, reading: Reading, people: dict[str, dict[str, int | None]]) -> dict[str, str]:
        """Each person's split, as far as files say."""
        splits: dict[str, str] = {}
        for split, file in self._people_files(reading).items():
            path = reading.at(file)
            for person, (count, line) in read_people(path).items():
                where = f"{path}: line {line}"
                if person not in people:
                    reading.problem(where, f"there is no folder of {person!r}{nearest(person, people)}")
                elif len(people[person]) != count:
                    reading.problem(where, f"{person!r} has {len(people[person])} images, the list says {count}")
                if splits.setdefault(person, split) != split:
                    reading.problem(where, f"{person!r} is in the split {splits[person]!r} already, and stays there")
        apart: dict[str, str] = {}
        for split, file in self._pairs_files(reading).items():
            path = reading.at(file)
            for pair in read_pairs(path):
                for person, number in dict.fromkeys((pair.first, pair.second)):
                    where = f"{path}: line {pair.line}"
                    if person not in people:
                        reading.problem(where, f"there is no folder of {person!r}{nearest(person, people)}")
                    elif number not in people[person].values():
                        reading.problem(where, f"there is no image {image_name(person, number)!r}")
                    apart.setdefault(person, split)
            if "train" in (split, self.split):
                raise OneglanceError(
                    f"source {reading.name!r} (lfw): the people of {path} are there to be tested on, and the split "
                    "train would train on them; name another split, or say `pairs: {}`"
                )
        moved = sum(splits.get(person, split) != split for person, split in apart.items())
        if moved:
            what = f"{moved} people of the lists in `people` are in a pairs file as well, and in its split"
            reading.problems.add(f"source {reading.name!r}", what, is_note=True)
        return splits | apart

    def _pairs_files(self, reading: Reading) -> dict[str, Path]:
        if isinstance(self.pairs, dict):
            return self.pairs
        if self.pairs is not None:
            return {"test": self.pairs}
        return {"test": Path("pairs.txt")} if reading.at("pairs.txt").is_file() else {}

    def _people_files(self, reading: Reading) -> dict[str, Path]:
        if self.people is not None:
            return self.people
        found = sorted(reading.folder.glob(_PEOPLE.format("*")))
        return {path.stem.removeprefix("people_"): path for path in found}

    @classmethod
    def write(cls, records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
        """See :meth:`SourceSettings.write`."""
        return _write(records, columns, out, options)

    @classmethod
    def recognise(cls, folder: Path) -> list[Suggestion]:
        """See :meth:`SourceSettings.recognise`."""
        return _recognise(folder)


def _images_by_person(reading: Reading, folder: Path) -> dict[str, dict[str, int | None]]:
    """By person, the images' paths relative to ``folder`` with LFW's numbers (None where a name has none)."""
    people: dict[str, dict[str, int | None]] = {
        entry.name: {} for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith(".")
    }
    for relative in walk(folder):
        person, *rest = relative.split("/")
        if not is_image_name(relative):
            if rest:
                reading.note(folder, "a file that is no image by its name is ignored")
            continue
        if not rest:
            reading.problem(folder / relative, "an image in no person's folder; passed over")
            continue
        face = face_of(PurePosixPath(relative))
        if face is None or face[0] != person:
            reading.note(folder, "an image is not called NAME_0001 within NAME: kept, but no pair can name it")
        people.setdefault(person, {})[relative] = face[1] if face is not None and face[0] == person else None
    for person in [name for name, images in people.items() if not images]:
        reading.problem(folder / person, "a person's folder without a single image")
        del people[person]
    return people


# --- writing ------------------------------------------------------------------------------------------------


def _write(records: Iterable[Record], columns: Columns, out: Path, options: WriteOptions) -> list[str]:
    losses = Losses("lfw")
    chosen = tasks_to_write(columns, options, ("identity",), "lfw")
    task = one_task(chosen, "lfw")
    if options.images == "none":
        raise OneglanceError("who is in an image is told by the folder it stands in: choose images: copy or link")
    losses.left_tasks(columns, chosen)
    new_folder(out)
    images = Images(options, losses)
    taken: dict[str, set[int]] = {}
    later: list[tuple[str, Path]] = []
    splits: dict[str, Counter[str]] = {}

    def put(name: str, number: int, path: Path) -> None:
        taken.setdefault(name, set()).add(number)
        images.put(path, out / name / f"{image_name(name, number)}{path.suffix.lower()}")

    for record in records:
        annotation = record.annotations.get(task)
        name = annotation.name if isinstance(annotation, Identity) else None
        if name is None:
            losses.add("it has no place for images of unknown people; images left out")
            continue
        if name in (".", "..") or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\0\t\n\r'):
            losses.add(f"person {name!r} can't be a folder's name; images left out")
            continue
        if record.group not in (None, name):
            losses.add("its groups are the people; images that had another")
        splits.setdefault(name, Counter())[record.split or ""] += 1
        face = face_of(record.path)
        if face is not None and face[0] == name and face[1] > 0 and face[1] not in taken.get(name, ()):
            put(name, face[1], record.path)
        else:
            later.append((name, record.path))
    # After those that have a number: a new one must not take an old one's place.
    for name, path in later:
        put(name, next(k for k in range(1, 10**9) if k not in taken.get(name, ())), path)
        losses.add("images are called NAME_0001; images that were called otherwise")
    _write_people(splits, out, losses)
    if not splits:
        losses.add("nothing was written: no image has an identity")
    return losses.sentences()


def _write_people(splits: dict[str, Counter[str]], out: Path, losses: Losses) -> None:
    """A list of people for each split."""
    lists: dict[str, list[str]] = {}
    for name, counts in sorted(splits.items()):
        if len(counts) > 1:
            losses.add("a person is in one split; people whose images were in several, now in none")
        elif (split := next(iter(counts))) != "":
            lists.setdefault(split, []).append(f"{name}\t{counts[split]}\n")
    for split, lines in lists.items():
        (out / _PEOPLE.format(split)).write_text(f"{len(lines)}\n{''.join(lines)}", encoding="utf-8")


# --- recognising --------------------------------------------------------------------------------------------


def _recognise(folder: Path) -> list[Suggestion]:
    for top in folders(folder, 1):
        if not looks_like_lfw(top):
            continue
        root = next((place for place in (top, top.parent) if is_pairs_file(place / "pairs.txt")), top)
        if not root.is_relative_to(folder):
            root = top  # a pairs.txt outside of what was to be looked at
        task = {"kind": "embedding"}
        source = {"format": "lfw", "root": relative_to(root, folder)}
        if root != top:
            source["images"] = relative_to(top, root)
        if is_pairs_file(root / "pairs.txt"):
            source["pairs"] = "pairs.txt"
            task["pairs"] = relative_to(root / "pairs.txt", folder)
        return [Suggestion({**source, "tasks": {"who": "identity"}}, {"who": task}, "folders of people (LFW's layout)")]
    return []


def looks_like_lfw(top: Path) -> bool:
    """Whether a folder holds people's folders rather than classes'.

    Images of classes may be called ``cat/cat_0001.jpg`` as well: beside the names, there must be a pairs file with the
    people in it, or folders so many and with so few images that they can't be classes.
    """
    below = [Path(entry.path) for entry in entries(top) if entry.is_dir() and not entry.is_symlink()][:_LOOK]
    counts = []
    for person in below:
        names = images_in(person, 200)
        if not names:
            continue
        match = IMAGE_NAME.match(PurePosixPath(names[0]).stem)
        if match is None or match["name"] != person.name:
            return False
        counts.append(len(names))
    if len(counts) < 2:
        return False
    if any(is_pairs_file(place / "pairs.txt") for place in (top, top.parent)):
        return True
    return len(counts) > _MANY and sum(counts) < _FEW * len(counts)


#: Folders that are looked into; that many of them, with fewer images than that in each, are people.
_LOOK, _MANY, _FEW = 500, 50, 20
