"""The reference pages of the documents, made from the settings' models and from the command line itself.

python -m oneglance.cli.reference configuration > docs/reference/configuration.md
python -m oneglance.cli.reference commands > docs/reference/commands.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo

from oneglance.annotations import type_name
from oneglance.cli import app
from oneglance.config import Config
from oneglance.data.augment import AugmentSettings
from oneglance.errors import OneglanceError
from oneglance.formats import FORMATS, SourceSettings
from oneglance.formats.csv_table import CsvField
from oneglance.network.sharing.settings import OWN_KEYS, SharingSettings
from oneglance.tasks import KINDS
from oneglance.tasks.base import TaskSettings
from oneglance.training.course import MAY

Overlay = Mapping[str, Any]

#: What stands in the examples where it is not the default. A key that is missing here is shown with its default; a
#: required one must be here.
TASK_EXAMPLES: dict[str, Overlay] = {
    "classification": {"classes": ["clear", "rain", "night"]},
    "tagging": {"classes": ["wet", "dirty", "mirrored"]},
    "regression": {"targets": ["age", "weight"]},
    "keypoints": {
        "points": ["tl", "tr", "br", "bl"],
        "flip": [["tl", "tr"], ["bl", "br"]],
        "skeleton": [["tl", "tr"], ["tr", "br"], ["br", "bl"], ["bl", "tl"]],
    },
    "segmentation": {"classes": ["road", "pavement", "sky"]},
    "detection": {"classes": ["person", "car"]},
    "embedding": {"pairs": "faces/pairs.txt"},
}
SOURCE_EXAMPLES: dict[str, Overlay] = {
    "coco": {"images": "images", "labels": "annotations/instances.json", "captions": "annotations/captions.json"},
    "voc": {"splits": {"train": "ImageSets/Main/train.txt", "val": "ImageSets/Main/val.txt"}},
    "yolo": {
        "data": "data.yaml",
        "images": "images/train",
        "labels": "labels/train",
        "names": ["bird"],
        "points": ["beak", "tail"],
        "kpt_shape": [2, 3],
    },
    "labelme": {"images": "images", "labels": "labels"},
    "masks": {
        "images": {"train": "train", "val": "val"},
        "labels": {"train": "train_masks", "val": "val_masks"},
        "suffix": "_mask",
        "values": {0: "road", 1: "pavement", 2: "sky"},
    },
    "csv": {
        "labels": "labels.csv",
        "images": "images",
        "image": "{id}.jpg",
        "tasks": {"answer": {"column": "weather", "values": {1: "clear", 2: "rain"}}},
        "delimiter": ",",
        "columns": ["id", "weather", "part", "place"],
        "split_column": "part",
        "group_column": "place",
    },
    "lfw": {
        "images": "images",
        "pairs": "pairs.txt",
        "people": {"train": "peopleDevTrain.txt", "val": "peopleDevTest.txt"},
    },
    "folder": {"images": "images", "splits": ["train", "val"]},
}
COMMON_SOURCE: Overlay = {
    "format": "voc",
    "name": "street",
    "root": "data/street",
    "tasks": ["answer"],
    "split": "train",
    "group": "^([^/]+)/",
    "rename": {"automobile": "car"},
    "annotated": ["car"],
}
SECTION_EXAMPLES: dict[str, Overlay] = {
    "trunk": {"pretrained": False, "options": {"drop_path_rate": 0.1}, "mean": [0.5] * 3, "std": [0.5] * 3},
    "balance": {"weights": {"answer": 2.0}, "lr": 0.01, "lowest": {"answer": -1.0}},
    "mixing": {"rule": "temperature", "weights": {"street": 0.5}},
    "train": {
        "eval_size": [384, 480],
        "eval_sizes": {"street": [480, 480]},
        "trunk_lr": 0.2,
        "workers": 4,
        "patience": 5,
    },
}
SCHEDULE_EXAMPLE: Overlay = {"tasks.answer.weight": [[0.25, 0.8], [0.5, 0.4]], "train.lr": [[0.5, 0.0003]]}
#: The long form of `tasks` in a table's source: the keys that go together.
CSV_EXAMPLES: dict[str, Overlay] = {
    "weather": {"column": "weather", "values": {1: "clear", 2: "rain"}},
    "tags": {"column": "tags", "separator": "|"},
    "size": {"columns": ["width_m", "height_m"]},
    "face": {"x": "x{i}", "y": "y{i}", "visible": "vis{i}", "visibility": "coco"},
    "cars": {"box": ["x", "y", "w", "h"], "box_format": "xywh", "label": "class", "identity": "id", "score": "score"},
    "plates": {"x": "x{i}", "y": "y{i}", "outline": True},
}

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Any: "anything"}
_MANY = {"text": "texts", "whole number": "whole numbers", "number": "numbers", "path": "paths"}


# --- the settings ------------------------------------------------------------------------------------------


def configuration() -> str:
    """The configuration reference, Markdown."""
    fields = Config.model_fields
    parts = [_CONFIGURATION, _table(fields), "## `tasks`\n", _TASKS, _table(_own(TaskSettings))]
    parts.append(_yaml({"tasks": {"answer": example(TaskSettings, {"kind": "detection"}) | {"classes": ["car"]}}}))
    for kind, (settings, task) in KINDS.items():
        own = _own(settings, TaskSettings)
        made = {"kind": kind} | example(settings, TASK_EXAMPLES.get(kind, {}), own)
        labels = f"`{type_name(task.annotation)}`" if task.on_image else "the objects' outlines"
        goal = f"Labels: {labels}. Score: `{task.score}`, " + (
            "higher is better." if task.higher_is_better else "lower is better."
        )
        parts += [f"### Task kind `{kind}`\n", f"{_first(task)}\n\n{goal}\n", *([_table(own)] if own else [])]
        asked: dict[str, Any] = {"answer": made}
        if not task.on_image:
            asked = {"objects": {"kind": "detection", "classes": ["car"]}, "answer": {**made, "on": "objects"}}
        parts.append(_yaml({"tasks": asked}))
    parts += ["## `sources`\n", _SOURCES, _table(_own(SourceSettings))]
    parts.append(_yaml({"sources": [example(SourceSettings, COMMON_SOURCE)]}))
    for name, source in FORMATS.items():
        own = _own(source, SourceSettings)
        start = {"format": name, "root": "data/street", "tasks": ["answer"]}
        made = start | example(source, SOURCE_EXAMPLES.get(name, {}), own)
        gives = f"Gives: {', '.join(f'`{one}`' for one in sorted(source.types))}."
        if source.fields:
            gives += f" A task may ask for: {', '.join(f'`{one}`' for one in source.fields)}."
        parts += [f"### Format `{name}`\n", f"{_first(source)}\n\n{gives}\n", _table(own)]
        parts.append(_yaml({"sources": [made]}))
        if source is FORMATS["csv"]:
            parts += ["Each entry of `tasks` in the long form:\n", _table(_own(CsvField)), "Which keys go together:\n"]
            parts.append(_yaml({"tasks": CSV_EXAMPLES}))
    for name, field in fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            parts += [f"## `{name}`\n", f"{_first(model)}\n", _table(model.model_fields)]
            if model is SharingSettings:  # most keys belong to one scheme
                parts += [_yaml({name: model.model_validate(keys).model_dump()}) for keys in _SCHEMES]
            else:
                parts.append(_yaml({name: example(model, SECTION_EXAMPLES.get(name, {}))}))
    parts += ["## `augment_sources`\n", _AUGMENT_SOURCES]
    parts.append(_yaml({"augment_sources": {"street": example(AugmentSettings, {"flip": 0.0, "rotate": 10.0})}}))
    parts += ["## `schedule`\n", _SCHEDULE, _yaml({"schedule": SCHEDULE_EXAMPLE})]
    return "\n".join(parts).rstrip("\n") + "\n"


def example(model: type[BaseModel], overlay: Overlay, own: Mapping[str, FieldInfo] | None = None) -> dict[str, Any]:
    """Every key of a model (or of ``own``) with a value: that of ``overlay``, else its default.

    Raises OneglanceError for a required key that the overlay lacks.
    """
    made: dict[str, Any] = {}
    for name, field in (model.model_fields if own is None else own).items():
        if name in overlay:
            made[name] = overlay[name]
        elif field.is_required():
            raise OneglanceError(f"{model.__name__}.{name} is required: give its example in cli/reference.py")
        else:
            made[name] = _plain(field.get_default(call_default_factory=True))
    return made


def _own(model: type[BaseModel], base: type[BaseModel] = BaseModel) -> dict[str, FieldInfo]:
    """The keys that a model adds to its base, or describes otherwise; not the one that chooses it."""
    shared = base.model_fields
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in ("kind", "format") and (name not in shared or shared[name].description != field.description)
    }


def _table(fields: Mapping[str, FieldInfo]) -> str:
    """A table of keys."""
    rows = ["| key | type | default | bounds | what it is |", "| --- | --- | --- | --- | --- |"]
    for name, field in fields.items():
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        cells = (f"`{name}`", type_text(field.annotation), default, _bounds(field.metadata), field.description or "")
        rows.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def type_text(annotation: Any) -> str:
    """A type in the words of somebody who writes YAML."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is NoneType:
        return "null"
    if origin is Annotated:
        return type_text(inner[0])
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin in (Union, UnionType):
        return " or ".join(type_text(one) for one in inner)
    if origin is list or (origin is tuple and inner[-1] is Ellipsis):
        one = type_text(inner[0])
        return f"list of {_MANY.get(one, one)}"
    if origin is tuple:
        return f"[{', '.join(type_text(one) for one in inner)}]"
    if origin is dict:
        return f"mapping of {type_text(inner[0])} to {type_text(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping, see below"
    return _NAMES[annotation]


def _bounds(metadata: Iterable[Any]) -> str:
    signs = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< ", "multiple_of": "multiple of "}
    signs |= {"min_length": "entries ≥ ", "max_length": "entries ≤ "}
    said = []
    for one in metadata:
        said += [f"{sign}{getattr(one, key)}" for key, sign in signs.items() if getattr(one, key, None) is not None]
        if getattr(one, "pattern", None):
            said.append(f"matches `{one.pattern}`")
    return ", ".join(said)


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "its keys' defaults"
    text = yaml.dump(_plain(value), Dumper=_Words, sort_keys=False, default_flow_style=True, width=1000)
    return "`" + text.removesuffix("...\n").strip() + "`"


def _plain(value: Any) -> Any:
    """A default as YAML holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


class _Words(yaml.SafeDumper):
    """YAML as :mod:`oneglance.config` reads it: `on` is a word."""

    yaml_implicit_resolvers = {k: v for k, v in yaml.SafeDumper.yaml_implicit_resolvers.items() if k not in "oO"}

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(data: Any) -> str:
    text = yaml.dump(data, Dumper=_Words, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)
    return f"```yaml\n{text}```\n"


def _first(documented: type) -> str:
    """The first paragraph of a docstring."""
    return " ".join((documented.__doc__ or "").split("\n\n")[0].replace("``", "`").split())


# --- the command line --------------------------------------------------------------------------------------


def commands() -> str:
    """The command reference, Markdown."""
    parts = [_COMMANDS]
    for registered in app.registered_commands:
        function = registered.callback
        assert function is not None
        text, _, sample = (inspect.getdoc(function) or "").replace("\\b", "\b").partition("\b")
        paragraphs = [" ".join(one.split()) for one in text.strip().split("\n\n")]
        lines = [line.strip() for line in sample.strip().splitlines()[1:]]
        parameters = list(_parameters(function))
        usage = " ".join(one[0] for one in parameters if not one[0].startswith("-"))
        parts += [f"## `oneglance {function.__name__}`\n", "\n\n".join(paragraphs) + "\n"]
        parts += [f"```text\noneglance {function.__name__} {usage} [OPTIONS]\n```\n"]
        parts += ["| argument or option | default | what it is |", "| --- | --- | --- |"]
        for words, default, said in parameters:
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{words}`", default, said)) + " |")
        parts += ["", "```sh", *lines, "```", ""]
    return "\n".join(parts)


def _parameters(function: Any) -> Iterator[tuple[str, str, str]]:
    """How each parameter of a command is written, its default, and what it is."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation, info = get_args(hints[name])[:2]
        if info.hidden:
            continue
        required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            several = get_origin(annotation) is list
            words = info.metavar or (name.upper() + ("..." if several else ""))
            words = words if required or info.metavar else f"[{words}]"
        else:
            # In Annotated[...], typer takes the first name for the default.
            given = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
            flag = name.replace("_", "-")
            plain = [f"--{flag}", f"--no-{flag}"] if annotation is bool else [f"--{flag}"]
            words = ", ".join(given or plain)
            if annotation is not bool:
                words += f" {info.metavar or _value(annotation)}"
        default = getattr(parameter.default, "value", parameter.default)
        shown = "required" if required else "" if default is None else f"`{str(default).lower()}`"
        yield words, shown, info.help or ""


def _value(annotation: Any) -> str:
    """What an option takes, in a word: its choices, or what type it is."""
    one = next((inner for inner in get_args(annotation) if inner is not NoneType), annotation)
    if issubclass(one, StrEnum):
        return "|".join(member.value for member in one)
    return {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}[one]


#: Every scheme of sharing with its own keys.
_SCHEMES: list[Overlay] = [
    {"scheme": scheme} | ({"relation": "omega"} if scheme == "soft" else {}) for scheme in OWN_KEYS
]
_MADE = "<!-- Made by `python -m oneglance.cli.reference {0} > docs/reference/{0}.md`: change the code, not this. -->\n"
_CONFIGURATION = f"""{_MADE.format("configuration")}
# Configuration reference

One YAML file says what to train. It is read strictly: an unknown key is refused, with the nearest known one. Any key
can be changed for one run on the command line: `oneglance train street.yaml train.epochs=10 sources.0.root=elsewhere`.
Only `true` and `false` are truth values, so that `no` and `on` can be names. YAML aliases are not read.

The examples show every key of their section, most with its default. What they leave out has the default in the table.

## The file
"""
_TASKS = """A task's name is yours: letters, digits, `_` and `-`. `kind` says what is asked; each kind has its section
below. All kinds have these keys:
"""
_SOURCES = """A list. Paths start from the YAML's folder, or from `root` where it is given. `format` says how a source
is read; each format has its section below. All formats have these keys:
"""
_AUGMENT_SOURCES = """The keys of `augment`, for one source, by its name, **in place of** `augment`: what is left out
has the default, not the value in `augment`. An image that several sources label takes the first of them that has its
own.
"""
_MAY = ", ".join(f"`{key}`" for key in MAY)
_SCHEDULE = f"""By dotted key, [share of the training, value]: from that share of all steps on the value holds, up to
the key's next point; before the first one, the key's own value. `train.lr` is the highest rate of the usual course,
which goes on beneath. Interrupted and resumed, a training is the same. What may change: {_MAY}.
`oneglance tune --method population` finds schedules.
"""
_COMMANDS = f"""{_MADE.format("commands")}
# Command reference

Exit codes: 0, all is well; 1, `check` found problems; 2, something is wrong with the input (said in a line on standard
error); 130, Ctrl-C. Results go to standard output, everything else to standard error.
"""
PAGES = {"configuration": configuration, "commands": commands}


def main() -> None:
    """Print the page that the first argument names."""
    if len(sys.argv) != 2 or sys.argv[1] not in PAGES:
        raise SystemExit(f"usage: python -m oneglance.cli.reference {'|'.join(PAGES)}")
    sys.stdout.write(PAGES[sys.argv[1]]())


if __name__ == "__main__":
    main()
