"""What may be varied: the keys of a configuration, each with the values that it may take.

A key's values are written as

- ``1e-4..1e-2``: any number between the two, ends included; whole numbers where the key takes no others;
- ``1e-4..1e-2:log``: likewise, evenly in the logarithm;
- ``1..5:linear:9`` or ``1e-4..1e-2:log:5``: so many values in equal steps (of the logarithm), ends included;
- ``1..5:pyramid:3`` or ``1e-4..1e-2:log:pyramid:3``: so many values in equal steps, then round the best of them as many
  with half the distance between them, and so on;
- ``{16, 32, 64}``, ``{sum, uncertainty}``: these values, which may be any YAML. Numbers are taken to be in their order.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from oneglance.config import Config, parse_config, put, read_value, read_yaml
from oneglance.errors import OneglanceError, nearest
from oneglance.tasks import columns_of, create_tasks

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: A value as it stands in a configuration.
Value = Any
_HOW = (
    "write `low..high`, `low..high:log`, `low..high:linear:5`, `low..high:log:5`, `low..high:pyramid:5` or "
    "`{value, value}`"
)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*((?::\s*\w+\s*)*)")
#: Numbers of a range are rounded to so many digits: more say nothing, and can't be read.
_DIGITS = 4


@dataclass(frozen=True)
class Dimension:
    """A key and the values that it may take: ``values`` in their order, or, where that is empty, all from ``low`` to
    ``high``, evenly in the logarithm (``log``) or not, whole numbers alone (``whole``) or not. ``pyramid``: values of a
    level, of a range that is searched in such steps; else 0."""

    key: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    pyramid: int = 0

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in self.values)

    @property
    def distribution(self) -> BaseDistribution:
        """For Optuna; of values the places of ordered ones, and the texts of others."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.values and self.ordered:
            return IntDistribution(0, len(self.values) - 1)
        if self.values:
            return CategoricalDistribution([json.dumps(one) for one in self.values])
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def value(self, drawn: Any) -> Value:
        """The value that something drawn from :attr:`distribution` stands for."""
        if self.values:
            return self.values[drawn] if self.ordered else json.loads(drawn)
        return self.rounded(drawn)

    def drawn(self, value: Value) -> Any:
        """The inverse of :meth:`value`; None for what is none of its values."""
        if self.values:
            found = [place for place, one in enumerate(self.values) if one == value and type(one) is not bool]
            found += [place for place, one in enumerate(self.values) if one is value]
            return None if not found else found[0] if self.ordered else json.dumps(self.values[found[0]])
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if number and self.low <= value <= self.high else None

    def rounded(self, number: float) -> float | int:
        """A number of the range that a person can read."""
        if self.whole:
            return round(min(max(number, self.low), self.high))
        return float(min(max(float(f"{number:.{_DIGITS}g}"), self.low), self.high))

    def spread(self, count: int) -> list[float | int]:
        """So many numbers of the range in equal steps, its ends among them; fewer where whole numbers coincide."""
        low, high = (math.log(one) if self.log else one for one in (self.low, self.high))
        steps = np.linspace(low, high, count)
        return list(dict.fromkeys(self.rounded(float(one)) for one in (np.exp(steps) if self.log else steps)))

    def at(self, place: float) -> Value:
        """The value at a place from 0, the lowest, to below 1, the highest; of values, each has an equal share."""
        if self.values:
            return self.values[int(place * len(self.values))]
        low, high = (math.log(one) if self.log else one for one in (self.low, self.high))
        number = low + place * (high - low)
        return self.rounded(math.exp(number) if self.log else number)

    def place(self, value: Value) -> float:
        """Where a value lies between the lowest, 0, and the highest, 1; NaN for what is none of its values."""
        drawn = self.drawn(value)
        if drawn is None:
            return math.nan
        if self.values:
            return [self.value(one) for one in self._all()].index(value) / max(1, len(self.values) - 1)
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, float(value)))
        return (at - low) / (high - low)

    def _all(self) -> Sequence[Any]:
        return range(len(self.values)) if self.ordered else [json.dumps(one) for one in self.values]

    def __str__(self) -> str:
        if self.values:
            return f"{{{', '.join(text(one) for one in self.values)}}}"
        words = [f"{text(self.rounded(self.low))}..{text(self.rounded(self.high))}", *(["log"] if self.log else [])]
        return ":".join([*words, *(["pyramid", str(self.pyramid)] if self.pyramid else [])])


def text(value: Value) -> str:
    """A value as people write it."""
    return value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def parse_dimension(
    key: str, spec: str | Sequence[Value], takes: Callable[[float], bool] = lambda value: True
) -> Dimension:
    """A key with its values, as they are written (see above) or as a list. ``takes``: whether the key takes a number,
    which is asked of one that is not whole.

    Raises OneglanceError that says how they are written.
    """
    if not isinstance(spec, str):
        return _choice(key, list(spec))
    if (inner := spec.strip()).startswith("{") and inner.endswith("}"):
        try:
            return _choice(key, read_value(f"[{inner[1:-1]}]"))
        except yaml.YAMLError as error:
            raise OneglanceError(f"vary {key}: {spec!r} is not a list of YAML values; {_HOW}") from error
    match = _RANGE.fullmatch(spec)
    if match is None:
        raise OneglanceError(f"vary {key}: {spec!r} is no range and no list of values; {_HOW}")
    words = [word.strip() for word in match[3].split(":")[1:]]
    counts = [int(word) for word in words if word.isdigit()]
    names = [word for word in words if not word.isdigit()]
    for name in names:
        if name not in _WORDS:
            raise OneglanceError(f"vary {key}: {name!r} says nothing{nearest(name, _WORDS)}; {_HOW}")
    if len(counts) > 1 or len(set(names)) < len(names) or {"linear", "log"} <= set(names):
        raise OneglanceError(f"vary {key}: {spec!r} says two things at once; {_HOW}")
    low, high = float(match[1]), float(match[2])
    if not low < high:
        raise OneglanceError(f"vary {key}: {spec!r}: the first number must be less than the second")
    between = low + _BETWEEN * (high - low)
    whole = low.is_integer() and high.is_integer() and not takes(between)
    found = Dimension(key, low=low, high=high, log="log" in names, whole=whole)
    if found.log and found.low <= 0:
        raise OneglanceError(f"vary {key}: {spec!r}: nothing from 0 down has a logarithm; begin above 0")
    if ("pyramid" in names and not counts) or (counts and counts[0] < 2):
        raise OneglanceError(f"vary {key}: {spec!r}: say how many steps, from 2 on, such as `:pyramid:5`")
    if "pyramid" in names:
        return Dimension(key, (), found.low, found.high, found.log, whole, counts[0])
    return _choice(key, found.spread(counts[0])) if counts else found


_WORDS = ("linear", "log", "pyramid")
#: Where in a range the number is that is no whole one, whatever whole numbers its ends are.
_BETWEEN = math.sqrt(0.2)


def _choice(key: str, values: list[Value]) -> Dimension:
    known: dict[str, Value] = {json.dumps(one): one for one in values}
    if len(known) < 2:
        raise OneglanceError(f"vary {key}: {len(known)} value is nothing to choose from; {_HOW}")
    found = Dimension(key, tuple(known.values()))
    return Dimension(key, tuple(sorted(found.values))) if found.ordered else found


def parse_space(vary: Sequence[str] | Mapping[str, str | Sequence[Value]], base: Config) -> list[Dimension]:
    """Dimensions of a configuration from ``KEY=VALUES``, YAML files with a mapping of keys to values, or a mapping.

    Raises OneglanceError where something is none of these, or a key stands there twice.
    """
    pairs: list[tuple[str, Any]] = []
    if isinstance(vary, Mapping):
        pairs = list(vary.items())
    else:
        for one in vary:
            key, separator, spec = one.partition("=")
            if separator:
                pairs.append((key.strip(), spec))
                continue
            data = read_yaml(Path(one)) if Path(one).is_file() else None
            if not isinstance(data, dict):
                raise OneglanceError(
                    f"vary {one!r}: write KEY=VALUES, such as train.lr=1e-4..1e-2:log, or give a YAML file with a "
                    "mapping of keys to values"
                )
            pairs += [(str(key), spec) for key, spec in data.items()]
    found: dict[str, Dimension] = {}
    for key, spec in pairs:
        if key in found:
            raise OneglanceError(f"vary {key}: given twice")
        if not isinstance(spec, (str, list, tuple)):
            raise OneglanceError(f"vary {key}: {spec!r} is no range and no list of values; {_HOW}")
        found[key] = parse_dimension(key, spec, lambda value, key=key: _takes(base, key, value))  # type: ignore[misc]
    return list(found.values())


def _takes(base: Config, key: str, value: float) -> bool:
    data = base.model_dump(mode="json")
    try:
        put(data, key, value, key)
        parse_config(data)
    except OneglanceError:
        return False
    return True


def weight_dimensions(config: Config, factor: float = 4.0) -> list[Dimension]:
    """The weights of all tasks that are trained, each from a ``factor``-th of its own to as many times that."""
    given = config.balance.weights
    found = []
    for name, task in config.tasks.items():
        weight = given.get(name, task.weight)
        if weight > 0 and not task.freeze:
            key = f"balance.weights.{name}" if name in given else f"tasks.{name}.weight"
            found.append(Dimension(key, low=weight / factor, high=weight * factor, log=True))
    return found


class Space:
    """All that is varied of a configuration: ``base``, its paths absolute.

    Raises OneglanceError where a key is none of the configuration's, or one of its values can't be.
    """

    def __init__(self, base: Config, dimensions: Sequence[Dimension]) -> None:
        self.base, self.dimensions = base, tuple(dimensions)
        self._data = base.model_dump(mode="json")
        if not self.dimensions:
            raise OneglanceError("nothing is varied: give --vary KEY=VALUES or --weights")
        for one in self.dimensions:
            self._check(one)

    def _check(self, one: Dimension) -> None:
        if one.key.split(".")[0] in ("sources", "splits") or one.key == "train.seed":
            raise OneglanceError(
                f"vary {one.key}: all trials see the same data and begin with the same seed; this can't be varied"
            )
        if one.key.startswith("tasks.") and one.key.endswith(".weight") and self._hidden(one.key):
            raise OneglanceError(
                f"vary {one.key}: balance.weights says this task's weight; vary {self._hidden(one.key)}"
            )
        if one.key in self.base.schedule:
            raise OneglanceError(
                f"vary {one.key}: `schedule` says this key's values over time; take it out of there to vary it"
            )
        columns = columns_of(create_tasks(self.base.tasks))
        for value in one.values or (one.rounded(one.low), one.rounded(one.high)):
            if columns_of(create_tasks(self.config({one.key: value}).tasks)) != columns:
                raise OneglanceError(f"vary {one.key}: this is about what the labels say, and they are read once")

    def _hidden(self, key: str) -> str:
        name = key.split(".")[1]
        return f"balance.weights.{name}" if name in self.base.balance.weights else ""

    def config(self, values: Mapping[str, Value]) -> Config:
        """The configuration with these values. Raises OneglanceError where they can't be."""
        data = copy.deepcopy(self._data)
        for key, value in values.items():
            put(data, key, value, f"vary {key}")
        said = " ".join(f"{key}={text(value)}" for key, value in values.items())
        return parse_config(data, f"vary {said}" if said else "configuration")

    @property
    def schedule(self) -> dict[str, Value]:
        """The `schedule` that the configuration has, as it is written."""
        return dict(self._data["schedule"])

    def own(self) -> dict[str, Value]:
        """The values that the configuration has; None where it says nothing."""
        found = {}
        for one in self.dimensions:
            at: Any = self._data
            for part in one.key.split("."):
                at = at.get(part) if isinstance(at, dict) else at[int(part)] if isinstance(at, list) else None
            found[one.key] = at
        return found

    def drawn(self, values: Mapping[str, Value]) -> dict[str, Any] | None:
        """The same for Optuna; None where a value is none of those that it may take."""
        found = {one.key: one.drawn(values[one.key]) for one in self.dimensions}
        return None if any(one is None for one in found.values()) else found

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Value]:
        """What Optuna drew, as values."""
        return {one.key: one.value(drawn[one.key]) for one in self.dimensions}

    @property
    def size(self) -> float:
        """How many configurations it holds; inf where it has ranges of numbers."""
        sizes = [len(d.values) if d.values else d.high - d.low + 1 if d.whole else math.inf for d in self.dimensions]
        return math.prod(sizes)
