"""The YAML that a user writes, read strictly: every wrong key is named, with the nearest right one."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)
from torch import nn

from oneglance.balance.settings import GRADIENT_METHODS, BalanceSettings, split_names
from oneglance.data.augment import AugmentSettings
from oneglance.data.mixing import MixingSettings
from oneglance.errors import OneglanceError, nearest
from oneglance.formats import FORMATS
from oneglance.formats.base import SourceSettings
from oneglance.manifest import FIXED
from oneglance.network.sharing.settings import MEANS, SHARED, SharingSettings, groups_of
from oneglance.network.trunk import TrunkSettings
from oneglance.tasks import KINDS
from oneglance.tasks.base import TaskSettings
from oneglance.training.course import Schedule, by_share, check_schedule
from oneglance.training.settings import TrainSettings

MAX_YAML_BYTES = 1_000_000
#: A network keeps its heads in such a dictionary, whose own attributes (`values`, `type`) can't be names of tasks.
_NO_TASKS = nn.ModuleDict()


def is_task_name(name: str) -> bool:
    """Whether a task may be called so."""
    return bool(re.fullmatch(r"\w[\w-]*", name)) and not _is_reserved(name)


def _is_reserved(name: str) -> bool:
    return hasattr(_NO_TASKS, name) or name in FIXED


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `true` and `false` alone, so that the class `no` and the key `on` stay words."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_BOOLEAN = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tTfF"))


class SplitSettings(BaseModel):
    """How images that no source gives a split are divided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fractions: dict[str, float] = Field(
        {"train": 0.8, "val": 0.1, "test": 0.1}, description="Share of each split, summing to 1."
    )
    seed: int = Field(0, ge=0, description="Another seed, another division.")
    by_group: bool = Field(True, description="Keep images of one group (a person, near duplicates) together.")


class Config(BaseModel):
    """Everything that a training needs; all but `tasks` and `sources` has a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, SerializeAsAny[TaskSettings]] = Field(description="The questions, by name.", min_length=1)
    sources: tuple[SerializeAsAny[SourceSettings], ...] = Field(description="The data sets.", min_length=1)
    splits: SplitSettings = Field(default_factory=SplitSettings, description="Division of images without a split.")
    trunk: TrunkSettings = Field(default_factory=TrunkSettings, description="The shared part of the network.")
    sharing: SharingSettings = Field(default_factory=SharingSettings, description="How much the tasks share.")
    balance: BalanceSettings = Field(default_factory=BalanceSettings, description="How losses become a step.")
    mixing: MixingSettings = Field(default_factory=MixingSettings, description="How often each source is looked at.")
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="Random changes to training images.")
    augment_sources: dict[str, AugmentSettings] = Field(
        default_factory=dict, description="Other random changes for some sources, by name; in place of `augment`."
    )
    train: TrainSettings = Field(default_factory=TrainSettings, description="The training loop.")
    schedule: Schedule = Field(
        default_factory=dict,
        description="Other values of some keys later in the training: by dotted key, shares of the training from which "
        "on a value holds, such as `tasks.answer.weight: [[0.5, 2.0]]`.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _tasks(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must be a mapping of names to tasks, such as `weather: {kind: classification, ...}`")
        return {
            name: _member(f"{name}", "kind", one, {k: v[0] for k, v in KINDS.items()}) for name, one in value.items()
        }

    @field_validator("sources", mode="before")
    @classmethod
    def _sources(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list of sources, such as `- {format: coco, images: ..., labels: ...}`")
        return tuple(_member(str(i), "format", one, FORMATS) for i, one in enumerate(value))

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        for i, source in enumerate(self.sources):
            for name in source.tasks:
                if name not in self.tasks:
                    raise ValueError(f"sources.{i}.tasks: no task is called {name!r}{nearest(name, self.tasks)}")
                task = self.tasks[name]
                if not KINDS[task.kind][1].on_image and task.parent in self.tasks and task.parent not in source.tasks:
                    raise ValueError(
                        f"sources.{i}.tasks: {name!r} has its labels on the objects of {task.parent!r}; name that "
                        "task too"
                    )
        fed = {name for source in self.sources for name in source.tasks}
        for name in self.tasks:
            if name not in fed:
                raise ValueError(f"tasks.{name}: no source has labels for it; name it in the `tasks` of a source")
        balanced = split_names({name: task.parts for name, task in self.tasks.items()}, self.balance.over)
        known = list(dict.fromkeys([*self.tasks, *balanced]))
        for key, names in (("weights", self.balance.weights), ("lowest", self.balance.lowest)):
            for name in names:
                if name not in known:
                    raise ValueError(f"balance.{key}: no task is called {name!r}{nearest(name, known)}")
        for name, task in self.tasks.items():
            if not re.fullmatch(r"\w[\w-]*", name):
                raise ValueError(f"tasks: a task's name is made of letters, digits, _ and -; {name!r} is not")
            if _is_reserved(name):
                raise ValueError(
                    f"tasks: {name!r} means something to the network or the manifest; call the task {name + '_'!r}"
                )
            if task.freeze and self.train.start is None:
                raise ValueError(
                    f"tasks.{name}.freeze: its head would stay random; give the run that trained it as train.start"
                )
            self._check_on(name, task)
            self._check_points(name, task)
        self._check_sharing()
        self._check_schedule()
        return self

    def _check_schedule(self) -> None:
        """Keys that may change, and have an effect, and values that they may take."""
        check_schedule(self.schedule)
        for key in self.schedule:
            room, name = key.split(".")[0], key.split(".")[1]
            weight = room == "tasks" or key.startswith("balance.weights.")
            if room == "tasks" and name not in self.tasks:
                raise ValueError(f"schedule.{key}: no task is called {name!r}{nearest(name, self.tasks)}")
            if room == "tasks" and name in self.balance.weights:
                raise ValueError(f"schedule.{key}: this task's weight is said by balance.weights.{name}; change that")
            if weight and self.balance.method == "equal":
                raise ValueError(f"schedule.{key}: with `balance.method: equal` no task has a weight of its own")
        self.stages()

    def stages(self) -> list[tuple[float, Config]]:
        """What `schedule` makes of the configuration: shares of the training, rising, and the configuration that holds
        from there on; those have no `schedule`."""
        found: list[tuple[float, Config]] = []
        data = self.model_dump(mode="json", exclude={"schedule"}) if self.schedule else {}
        for share, values in by_share(self.schedule):
            try:
                for key, value in values.items():
                    put(data, key, value, f"schedule.{key}")
                found.append((share, Config.model_validate(copy.deepcopy(data))))
            except ValidationError as error:
                raise ValueError(f"schedule, from {share:g} on: {'; '.join(_lines(error, Config))}") from error
        return found

    def _check_sharing(self) -> None:
        """Groups of tasks that are there, and something shared where gradients are to be compared."""
        scheme = self.sharing.scheme
        try:
            groups_of(self.sharing, self.tasks)
        except ValueError as error:
            raise ValueError(f"sharing.{error}") from error
        if self.balance.method in GRADIENT_METHODS and scheme not in SHARED:
            raise ValueError(
                f"balance.method: `{self.balance.method}` compares the tasks' gradients where all learn together, and "
                f"with `sharing.scheme: {scheme}` they do so nowhere ({MEANS[scheme]}); take a method by losses, "
                f"such as `sum` or `uncertainty`, or one of the schemes {', '.join(SHARED)}"
            )
        self._check_sizes()
        if self.sharing.neck == "frozen" and self.train.start is None:
            raise ValueError(
                "sharing.neck: `frozen` keeps the neck as it is, and a new one knows nothing; give the run that "
                "trained it as train.start, or leave `neck` out"
            )

    def _check_sizes(self) -> None:
        """With statistics by size, the size of an input says which are its own."""
        train = self.train
        if self.trunk.statistics != "by_size" or self.trunk.norm == "group":
            return
        usual = not all(source.name in train.sizes for source in self.sources)  # whether any image has the usual size
        statistics = {size: size for size in ((train.size,) if usual else ()) + tuple(train.sizes.values())}
        scored = [("eval_size", train.scored_size, train.size)] if usual else []
        for name, size in train.eval_sizes.items():
            scored.append((f"eval_sizes.{name}", size, train.sizes.get(name, train.size)))
        for key, size, own in scored:
            other = statistics.setdefault(size, own)
            if other != own:
                raise ValueError(
                    f"train.{key}: {size[0]} x {size[1]} is also asked of images that are {other[0]} x {other[1]} in "
                    f"training, and these are {own[0]} x {own[1]}: each has statistics of its own "
                    "(`trunk.statistics: by_size`), and the input's size must say which; give another size, or "
                    "`trunk.statistics: shared`"
                )

    def _check_points(self, name: str, task: TaskSettings) -> None:
        """What a task that looks at another's points needs: points on the same thing, seen the same way."""
        if task.points_from is None:
            return
        where = f"tasks.{name}.at: {task.points_from!r}"
        able = [other for other, one in self.tasks.items() if one.kind == "keypoints" and one.on == task.on]
        if task.points_from not in able:
            raise ValueError(
                f"{where}: no keypoints task of this name is asked about the same ({task.on})"
                f"{nearest(task.points_from, able)}; those that are: {', '.join(able) or 'there is none'}"
            )
        try:
            groups = groups_of(self.sharing, self.tasks).values()
        except ValueError:
            return  # what is wrong with the groups is said elsewhere
        if not any({name, task.points_from} <= set(group) for group in groups):
            raise ValueError(
                f"{where}: with `sharing.scheme: {self.sharing.scheme}` the two see features of their own; put them in "
                f"one group (sharing.groups: [[{task.points_from}, {name}]])"
            )

    def _check_on(self, name: str, task: TaskSettings) -> None:
        """What a task on objects needs: a detector that finds them, and a kind that can be asked of objects."""
        kind = KINDS[task.kind][1]
        if task.parent is None:
            if not kind.on_image:
                raise ValueError(f"tasks.{name}.on: `kind: {task.kind}` is asked of objects: name a detection task")
            return
        where = f"tasks.{name}.on: {task.on!r}"
        parent = self.tasks.get(task.parent)
        if parent is None or KINDS[parent.kind][1].kind != "detection":
            known = [other for other, one in self.tasks.items() if one.kind == "detection"]
            what = "no task is called" if parent is None else "not a detection task:"
            raise ValueError(
                f"{where}: {what} {task.parent!r}{nearest(task.parent, known)}; the detection tasks: "
                f"{', '.join(known) or 'there is none'}"
            )
        classes = getattr(parent, "classes", ())
        if task.parent_class is not None and task.parent_class not in classes:
            raise ValueError(
                f"{where}: task {task.parent!r} has no class {task.parent_class!r}"
                f"{nearest(task.parent_class, classes)}; its classes: {', '.join(classes)}"
            )
        if kind.carrier is None:
            able = ", ".join(k for k, (_, one) in KINDS.items() if one.carrier is not None)
            raise ValueError(f"{where}: `kind: {task.kind}` can't be asked of objects; {able} can")
        for other, one in self.tasks.items():
            both = one is not task and one.kind == task.kind and one.parent == task.parent
            same = one.parent_class is None or task.parent_class is None or one.parent_class == task.parent_class
            if both and same and kind.carrier != "attributes":
                raise ValueError(f"{where}: task {other!r} asks the same of the same objects already")

    def augment_of(self, source: str) -> AugmentSettings:
        """The random changes for a source (or for sources joined by their images: the first that has its own)."""
        for name in source.split("+"):
            if name in self.augment_sources:
                return self.augment_sources[name]
        return self.augment


def _member(where: str, key: str, value: Any, known: dict[str, Any]) -> Any:
    """The settings of one task or source, by the model that its ``kind`` or ``format`` names."""
    if isinstance(value, BaseModel):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be a mapping with the key `{key}`")
    name = value.get(key)
    if name not in known:
        hint = nearest(str(name), known) if name is not None else ""
        what = f"no {key} {name!r}" if name is not None else f"the key `{key}` is missing"
        raise ValueError(f"{where}: {what}{hint}; known: {', '.join(known)}")
    try:
        return known[name].model_validate(value)
    except ValidationError as error:
        raise ValueError("; ".join(_lines(error, known[name], where))) from error


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, with dotted overrides (``train.epochs=10``).

    Raises OneglanceError that names the file and every wrong key, with the nearest right one.
    """
    return parse_config(read_yaml(path), str(path), overrides)


def parse_config(data: Any, name: str = "configuration", overrides: Sequence[str] = ()) -> Config:
    """A configuration from a mapping; ``name`` stands in messages."""
    if not isinstance(data, dict):
        raise OneglanceError(f"{name}: must be a mapping with `tasks` and `sources`")
    data = copy.deepcopy(data)
    for override in overrides:
        _override(data, override)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise OneglanceError("\n".join(f"{name}: {line}" for line in _lines(error, Config))) from error


def read_yaml(path: Path) -> Any:
    """A YAML file's content; refuses what is missing, too large or full of aliases (OneglanceError)."""
    if path.is_dir():
        raise OneglanceError(
            f"{path}: is a folder; `oneglance init {shlex.quote(str(path))}` writes the YAML for what is in it"
        )
    if not path.is_file():
        raise OneglanceError(f"{path}: no such file; `oneglance init FOLDER` writes one for a folder of data")
    if path.stat().st_size > MAX_YAML_BYTES:
        raise OneglanceError(f"{path}: larger than {MAX_YAML_BYTES} bytes: not a configuration")
    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise OneglanceError(f"{path}: YAML aliases (`*name`) are not allowed; write the value out")
        return yaml.load(text, _Loader)
    except UnicodeDecodeError as error:
        raise OneglanceError(f"{path}: not UTF-8 text ({error.reason})") from error
    except yaml.YAMLError as error:
        raise OneglanceError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def write_yaml(path: Path, config: Config) -> None:
    """Write a configuration out in full, defaults included."""
    data = config.model_dump(mode="json")
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise OneglanceError(f"override {override!r}: write it as key=value, such as train.epochs=10")
    try:
        value = read_value(text)
    except yaml.YAMLError as error:
        raise OneglanceError(f"override {override!r}: the value is not valid YAML") from error
    put(data, key.strip(), value, f"override {override!r}")


def read_value(text: str) -> Any:
    """A value as it is written in a configuration. Raises yaml.YAMLError where it is no YAML."""
    return yaml.load(text, _Loader)


def put(data: dict[str, Any], key: str, value: Any, name: str) -> None:
    """Set a dotted key (``train.epochs``, ``sources.0.root``) of a mapping like the YAML's; ``name``: for messages.

    Raises OneglanceError where there is no such place.
    """
    *parents, last = key.split(".")
    at: Any = data
    for number, part in enumerate([*parents, last]):
        if isinstance(at, list):
            if not part.isdigit() or int(part) >= len(at):
                raise OneglanceError(f"{name}: {part!r} must be a number below {len(at)}")
            slot: Any = int(part)
        elif isinstance(at, dict):
            slot = part
        else:
            raise OneglanceError(f"{name}: there is nothing below {'.'.join(parents[:number])!r}")
        if number == len(parents):
            at[slot] = value
        else:
            at = at[slot] if isinstance(at, list) else at.setdefault(slot, {})


def _lines(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    lines = []
    for one in error.errors():
        location = [str(part) for part in one["loc"]]
        where = ".".join([prefix, *location] if prefix else location)
        if one["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key{nearest(location[-1], _keys(model, location[:-1]))}")
        elif one["type"] == "missing":
            lines.append(f"{where}: this key is missing")
        else:
            message = one["msg"].removeprefix("Value error, ")
            given = "" if one["type"] == "value_error" else f" (not {_short(one['input'])})"
            message = _PLAIN.get(one["type"], message)
            lines.append(f"{where}: {message}{given}" if where else f"{message}{given}")
    return lines


#: What pydantic says in the words of Python.
_PLAIN = {
    "tuple_type": "must be a list, such as [320, 320]",
    "list_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
}


def _keys(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
