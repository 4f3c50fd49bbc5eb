"""What sharing can be told: which scheme, who goes with whom, and the scheme's own keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from oneglance.errors import nearest
from oneglance.tasks.base import TaskSettings

Scheme = Literal["hard", "layers", "cross_stitch", "mtan", "soft", "adapters", "none"]
Depth = Literal[4, 8, 16, 32, "neck"]

#: Each scheme's own keys and their defaults.
OWN_KEYS: dict[str, dict[str, Any]] = {
    "hard": {},
    "layers": {"depth": 16},
    "cross_stitch": {"own_share": 0.9, "per_channel": False},
    "mtan": {},
    "soft": {"relation": "l2", "strength": 1.0},
    "adapters": {"where": "stages", "narrowing": 8, "neck": "own"},
    "none": {},
}
#: Keys of a learned relation, beside those of `soft`.
OMEGA_KEYS: dict[str, Any] = {"every": 20}
#: The schemes in which all tasks learn some parameters together, so that their gradients can be compared there.
SHARED = ("hard", "layers", "mtan")
#: In a few words, for messages and reports.
MEANS = {
    "hard": "one trunk for all tasks",
    "layers": "the first layers are shared, then each group of tasks has a branch of its own",
    "cross_stitch": "a trunk for each group of tasks; after each stage, each takes a learned share of the others' maps",
    "mtan": "one backbone for all tasks; each group attends to its maps in its own way, and has its own neck",
    "soft": "a trunk for each group of tasks; the trunks' weights are tied to each other",
    "adapters": "a frozen backbone for all tasks; each group has small modules of its own in it",
    "none": "a trunk for each group of tasks; nothing is shared",
}


class SharingSettings(BaseModel):
    """How much of the network the tasks share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: Scheme = Field(
        "hard",
        description="`hard`: one trunk for all tasks. `layers`: the first layers shared, then branches. "
        "`cross_stitch`: a trunk a group, with learned mixing after each stage. `mtan`: one backbone, attention "
        "a group. `soft`: a trunk a group, tied by a term of the loss. `adapters`: a frozen backbone, small modules a "
        "group. `none`: a trunk a group.",
    )
    groups: tuple[tuple[str, ...], ...] | None = Field(
        None,
        description="Of all schemes but `hard`: tasks that go together, such as `[[kind, tags], [outline]]`. Who is "
        "not named is a group alone, as all are by default. Tasks on objects go with the task that finds the objects.",
    )
    over: Literal["tasks", "terms"] | None = Field(
        None,
        description="Of all schemes but `hard` (`tasks`). `terms`: a task whose loss has parts goes several ways; a "
        "detector as `objects.class` and `objects.box`, which may be named in `groups`.",
    )
    depth: Depth | None = Field(
        None,
        description="Of `layers` (16): the stride of the last map that is shared, 4, 8, 16 or 32 (the whole backbone); "
        "`neck`: everything, as in `hard`.",
    )
    own_share: float | None = Field(
        None, gt=0, le=1, description="Of `cross_stitch` (0.9): how much of its own map a trunk keeps at first; 1: all."
    )
    per_channel: bool | None = Field(
        None, description="Of `cross_stitch` (false): a share for each channel, not one for the map."
    )
    relation: Literal["l2", "trace_norm", "omega"] | None = Field(
        None,
        description="Of `soft` (`l2`): what ties the trunks. `l2`: the distance from their mean. `trace_norm`: of each "
        "layer's weights, stacked. `omega`: a learned matrix of relations between the tasks.",
    )
    strength: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Of `soft` (1): factor of that term of the loss; 0: as `none`."
    )
    every: int | None = Field(
        None, ge=1, description="Of `soft` with `relation: omega` (20): steps between updates of the relations."
    )
    where: Literal["stages", "maps"] | None = Field(
        None,
        description="Of `adapters` (`stages`): after each stage, so that a group's adapters change what later stages "
        "see; `maps`: on the backbone's maps alone, so that it runs once for all groups.",
    )
    narrowing: int | None = Field(
        None, ge=1, description="Of `adapters` (8): an adapter has its map's channels divided by this."
    )
    neck: Literal["own", "frozen"] | None = Field(
        None,
        description="Of `adapters` (`own`): a neck for each group, which learns; `frozen`: one neck, as it is in the "
        "run that `train.start` names.",
    )

    @model_serializer(mode="wrap")
    def _own(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What the scheme has, and no keys of others."""
        return {key: value for key, value in handler(self).items() if value is not None}

    @model_validator(mode="before")
    @classmethod
    def _own_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        scheme = data.get("scheme", "hard")
        own = dict(OWN_KEYS.get(scheme, {})) if isinstance(scheme, str) else {}
        if scheme == "soft" and data.get("relation") == "omega":
            own |= OMEGA_KEYS
        return data | {key: value for key, value in own.items() if data.get(key) is None}

    @model_validator(mode="after")
    def _of_this_scheme(self) -> SharingSettings:
        for key in type(self).model_fields:
            if getattr(self, key) is None or key == "scheme" or key in OWN_KEYS[self.scheme]:
                continue
            if key in ("groups", "over"):
                if self.scheme == "hard":
                    raise ValueError(
                        f"{key}: `hard` has one trunk for all tasks; leave `{key}` out, or choose a scheme"
                    )
            elif key in OMEGA_KEYS:
                if self.relation != "omega":
                    raise ValueError(f"{key}: belongs to `scheme: soft` with `relation: omega`; leave it out")
            else:
                owner = next(name for name, keys in OWN_KEYS.items() if key in keys)
                raise ValueError(f"{key}: belongs to `scheme: {owner}`, not to `{self.scheme}`; leave it out")
        return self


def groups_of(settings: SharingSettings, tasks: Mapping[str, TaskSettings]) -> dict[str, tuple[str, ...]]:
    """The tasks that go one way, by the group's name (its tasks on images, joined by +), in the order of the names, so
    that the order of tasks and groups in the YAML changes nothing. Tasks on objects stand with those that find them.
    Over terms, a task with parts stands there as its parts, ``task.part`` (and in a group's name as ``task:part``).

    Raises ValueError where the settings name tasks that are not there, twice, or apart from their objects.
    """
    if settings.scheme == "hard":
        return {"+".join(sorted(name for name, task in tasks.items() if task.parent is None)): tuple(tasks)}
    on_images = [way for name, task in tasks.items() if task.parent is None for way in _ways(settings, name, task)]
    found: dict[str, int] = {}
    for number, group in enumerate(settings.groups or ()):
        if not group:
            raise ValueError("groups: a group without a task")
        for name in group:
            if name not in tasks and name not in on_images:
                known = dict.fromkeys([*tasks, *on_images])
                raise ValueError(f"groups: no task is called {name!r}{nearest(name, known)}")
            if name in tasks and tasks[name].parent is None and name not in on_images:
                raise ValueError(
                    f"groups: over terms, {name!r} is {' and '.join(_ways(settings, name, tasks[name]))}; name these"
                )
            if name in found:
                raise ValueError(f"groups: {name!r} stands there twice")
            found[name] = number
    alone = len(settings.groups or ())
    number_of = {name: found.get(name, alone + k) for k, name in enumerate(on_images)}
    for name, task in tasks.items():
        if task.parent is not None and task.parent not in on_images:
            raise ValueError(
                f"over: {name!r} asks about the objects of {task.parent!r}, so that must look at them in one way; "
                "leave `over` out"
            )
    for name, number in found.items():
        parent = tasks[name].parent if name in tasks else None
        if parent is not None and number_of.get(parent) != number:
            raise ValueError(
                f"groups: {name!r} asks about the objects of {parent!r}, and goes where that goes; leave it out"
            )
    together: dict[int, list[str]] = {}
    for name in sorted(on_images):
        together.setdefault(number_of[name], []).append(name)
    return {"+".join(names).replace(".", ":"): (*names, *_asking(tasks, names)) for names in sorted(together.values())}


def task_of(name: str) -> str:
    """The task of a name that stands in a group: itself, or the one whose part it is."""
    return name.partition(".")[0]


def _ways(settings: SharingSettings, name: str, task: TaskSettings) -> list[str]:
    return [f"{name}.{part}" for part in task.parts] if settings.over == "terms" and task.parts else [name]


def _asking(tasks: Mapping[str, TaskSettings], parents: Sequence[str]) -> list[str]:
    return sorted(name for name, task in tasks.items() if task.parent is not None and task.parent in parents)
