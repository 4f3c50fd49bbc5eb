"""What is found in a folder, as one configuration: the YAML that ``oneglance init`` writes."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from oneglance.config import is_task_name, parse_config
from oneglance.errors import OneglanceError
from oneglance.formats import Suggestion
from oneglance.formats.recognition import mirror_note

#: Lists in the YAML are written in lines of so many characters at most.
WIDTH = 100
#: Formats whose files name a class only where one is: what a source never shows, its people may not have looked for.
_NAME_NO_CLASSES = ("voc", "labelme", "csv")


class Plan:
    """What several suggestions come to: tasks without clashing names, paths from the YAML's folder."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.sources: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.left: list[str] = []
        self._found: list[Suggestion] = []
        #: By source, the detection tasks with the classes that its own labels name.
        self._own: list[dict[str, list[str]]] = []

    def add(self, suggestion: Suggestion, folder: Path, yaml_folder: Path) -> None:
        """Take in one data set that was found."""
        if not suggestion.tasks:
            self.left.append(suggestion.note)
            return
        source = dict(suggestion.source)
        if twin := next((one for one in self._found if _same_labels(one, suggestion)), None):
            says = "speaks of the same images and asks the same"
            self.left.append(f"{where(source, folder)}: {says} as {where(twin.source, folder)}")
            return
        if source["format"] == "folder" and any(_is_below(one.source, source) for one in self._found):
            classes = ", ".join(next(iter(suggestion.tasks.values())).get("classes", ()))
            self.left.append(
                f"folders {classes}: other labels speak of the images in them; if the folders are classes, name them "
                "as a source of format folder"
            )
            return
        self._found.append(suggestion)
        names: dict[str, str] = {}
        # Tasks on objects after those that find them, whose names they need.
        for name, task in sorted(suggestion.tasks.items(), key=lambda item: "on" in item[1]):
            if "pairs" in task:
                task = task | {"pairs": _from_yaml(folder / task["pairs"], yaml_folder)}
            task = task | _renamed_on(task, names)
            names[name] = self._name(name, task, source["format"])
            self._task(names[name], task)
        if isinstance(source["tasks"], dict):
            source["tasks"] = {names.get(name, name): value for name, value in source["tasks"].items()}
        else:
            source["tasks"] = [names.get(name, name) for name in source["tasks"]]
        root = _from_yaml(folder / source.pop("root", ""), yaml_folder)
        self.sources.append({"format": source.pop("format"), "root": root, **source})
        found = {names[name]: one["classes"] for name, one in suggestion.tasks.items() if one["kind"] == "detection"}
        self._own.append(found)
        if suggestion.note:
            self.notes.append(suggestion.note)

    def _name(self, name: str, task: dict[str, Any], format_name: str) -> str:
        """A name that a task may have, and that no other one has that is not the same."""
        name = re.sub(r"\W+", "_", name).strip("_") or "task"
        for one in chain((name, f"{format_name}_{name}"), (f"{name}_{k}" for k in count(2))):
            known = self.tasks.get(one)
            if is_task_name(one) and (known is None or _mergeable(known, task)):
                return one
        raise AssertionError("the numbers came to an end")

    def _task(self, name: str, task: dict[str, Any]) -> None:
        known = self.tasks.setdefault(name, task)
        if known is not task and "classes" in task:
            # The training part may lack a class that the validation part has.
            classes = [*known["classes"], *(c for c in task["classes"] if c not in known["classes"])]
            self.tasks[name] = {**known, "classes": classes}

    def finish(self) -> None:
        """Say what only all of it together shows."""
        self._say_who_looked_for_what()
        self.notes += [note for note in [mirror_note(self.tasks)] if note]
        try:
            parse_config({"tasks": self.tasks, "sources": self.sources}, "this configuration")
        except OneglanceError as error:
            self.notes.append(f"it can't be trained by as it is: {error}")

    def _say_who_looked_for_what(self) -> None:
        """Write down the classes that a source's own labels name, where they are united with those of others: somebody
        else's classes may not have been looked for. Splits of one data set are labelled alike; two sources of one split
        are two data sets."""
        times = Counter((source["format"], source.get("split")) for source in self.sources)
        for source, own in zip(self.sources, self._own, strict=True):
            alone = "split" in source and times[source["format"], source["split"]] == 1
            if source["format"] not in _NAME_NO_CLASSES or alone:
                continue
            for name, classes in own.items():
                if set(classes) != set(self.tasks[name]["classes"]):
                    source["annotated"] = classes
                    self.notes.append(
                        f"{source.get('labels') or source['root']}: only {', '.join(classes)} occur there, and the "
                        "other classes are unknown in its images; delete `annotated` if they were looked for as well"
                    )

    def text(self, folder: Path, size: int) -> str:
        """The YAML, with comments."""
        # What strangers' files say may have lines of its own.
        notes = "".join(f"# NOTE: {' '.join(note.split())}\n" for note in dict.fromkeys(self.notes))
        left = "".join(f"# Left out: {' '.join(one.split())}\n" for one in self.left)
        return _TEXT.format(
            folder=folder,
            notes=notes + left,
            tasks=_dump({"tasks": self.tasks}),
            sources=_dump({"sources": self.sources}),
            size=size,
        )


_TEXT = """\
# Written by `oneglance init` after a look at {folder}. Change what you like, then run
#   oneglance check THIS_FILE   to read all the data, count the labels and draw samples
#   oneglance train THIS_FILE   to train one network for all tasks
{notes}
# The questions. A name is yours to choose; the sources below refer to it.
{tasks}
# The data sets; paths start from this file's folder. An image that no source labels for a task is
# *unknown* there, never a negative.
{sources}
# Images that no source gives a split are divided so.
splits:
  fractions: {{train: 0.8, val: 0.1, test: 0.1}}

# Any timm backbone with feature maps. pretrained: true (downloaded), false, or a .safetensors file.
trunk:
  backbone: mobilenetv4_conv_small
  pretrained: true

# What people change most; `oneglance train FILE train.epochs=10` does so for one run.
train:
  size: [{size}, {size}]   # height and width of the network's input, multiples of 32
  epochs: 40
  batch: 16
  lr: 0.001
  seed: 0
"""


def _from_yaml(path: Path, yaml_folder: Path) -> str:
    """A path as a YAML in ``yaml_folder`` gives it."""
    return os.path.relpath(path, yaml_folder or ".").replace(os.sep, "/")


def _same_labels(one: Suggestion, other: Suggestion) -> bool:
    """Whether ``other`` asks nothing but what ``one`` does, and of images that ``one`` speaks of: the same labels
    twice, in one format or exported to two."""
    if one.source.get("images") != other.source.get("images"):
        return False
    if one.source["format"] == other.source["format"] and one.source.get("root") != other.source.get("root"):
        return False
    if one.source.get("split") not in (None, other.source.get("split")):
        return False
    mine, theirs = ({name: _asked(task) for name, task in each.tasks.items()} for each in (one, other))
    return len(one.stems & other.stems) >= max(1, 0.9 * len(other.stems)) and theirs.items() <= mine.items()


def _asked(task: dict[str, Any]) -> tuple[Any, ...]:
    if task["kind"] == "segmentation":  # by numbers, which have no names
        return (task["kind"],)
    return task["kind"], task.get("on"), *(frozenset(map(str, task.get(key, ()))) for key in ("classes", "points"))


def _is_below(source: dict[str, Any], folders: dict[str, Any]) -> bool:
    """Whether a source's images stand in the class folders of another one, or right above them."""
    images, root = PurePosixPath(source.get("images", source.get("root", "."))), PurePosixPath(folders["root"])
    return images.is_relative_to(root) or root == PurePosixPath(".")


def where(source: dict[str, Any], folder: Path) -> str:
    """Where a source's labels are, in a line."""
    place = source.get("labels") or source.get("images") or source.get("root") or folder
    return ", ".join(map(str, place)) if isinstance(place, list) else str(place)


def _mergeable(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two tasks are one: all alike but for some classes."""
    if {**one, "classes": 0} != {**other, "classes": 0}:
        return False
    mine, theirs = set(one.get("classes", ())), set(other.get("classes", ()))
    return mine == theirs or bool(mine & theirs)


def _renamed_on(task: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    if "on" not in task:
        return {}
    head, dot, rest = str(task["on"]).partition(".")
    return {"on": names.get(head, head) + dot + rest}


def _dump(data: Any) -> str:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(value: Any) -> str:
        dumped: str = yaml.dump(
            value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=math.inf, default_flow_style=None
        )
        return dumped.replace("'on': ", "on: ")  # quoted for readers of YAML 1.1, to whom it is true

    lines = []
    for line in text(data).splitlines():
        key, opened, rest = line.partition(": [")
        # A name with a space in it would be broken there, and an item is easier found in rows of whole ones.
        if len(line) > WIDTH and opened and rest.endswith("]"):
            deeper = " " * (len(key) - len(key.lstrip("- ")) + 2)
            items = [text([item]).strip()[1:-1] for item in yaml.safe_load(f"[{rest}")]
            lines += [f"{key}: [", *_filled(items, deeper), f"{deeper[2:]}]"]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _filled(items: list[str], indent: str) -> list[str]:
    """The items, a comma after each, in lines of at most ``WIDTH`` characters where an item allows it."""
    lines = [indent]
    for item in items:
        if len(lines[-1]) + len(item) + 1 > WIDTH and lines[-1] != indent:
            lines.append(indent)
        lines[-1] += f"{item}, "
    return [line.rstrip() for line in lines]
