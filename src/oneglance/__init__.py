"""oneglance: one network looks at an image once and answers every question that somebody has labels for.

import oneglance as og

run = og.train("street.yaml")        # one network for all tasks
model = og.load(run.folder)
answers = model("image.jpg")         # {"weather": Label(...), "objects": Instances(...), ...}
answers.plot().save("answers.png")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneglance.annotations import (
        Identity,
        Instance,
        Instances,
        Label,
        Numbers,
        Points,
        Record,
        Segments,
        Tags,
    )
    from oneglance.errors import OneglanceError
    from oneglance.evaluation.api import evaluate_run as evaluate
    from oneglance.evaluation.api import report
    from oneglance.evidence.affinity.api import Affinity, affinity
    from oneglance.evidence.api import Evidence, compare
    from oneglance.explaining.api import Explanation, explain
    from oneglance.gallery import Gallery
    from oneglance.manifest import Manifest
    from oneglance.model import Model, Prediction, load
    from oneglance.recognition.enrolled import Match
    from oneglance.tracking import Follower, TrackSettings
    from oneglance.training.api import Run, resume, train
    from oneglance.tuning.api import Tuning, tune
    from oneglance.video import Film, Moment

#: Where each public name lives; imported when first asked for, so that `import oneglance` is quick.
_HOMES = {
    **dict.fromkeys(
        ("Identity", "Instance", "Instances", "Label", "Numbers", "Points", "Record", "Segments", "Tags"), "annotations"
    ),
    "OneglanceError": "errors",
    "Manifest": "manifest",
    "Gallery": "gallery",
    "Match": "recognition.enrolled",
    **dict.fromkeys(("Run", "train", "resume"), "training.api"),
    **dict.fromkeys(("Model", "Prediction", "load"), "model"),
    **dict.fromkeys(("Film", "Moment"), "video"),
    **dict.fromkeys(("Follower", "TrackSettings"), "tracking"),
    **dict.fromkeys(("evaluate", "report"), "evaluation.api"),
    **dict.fromkeys(("Evidence", "compare"), "evidence.api"),
    **dict.fromkeys(("Affinity", "affinity"), "evidence.affinity.api"),
    **dict.fromkeys(("Tuning", "tune"), "tuning.api"),
    **dict.fromkeys(("Explanation", "explain"), "explaining.api"),
}

__all__ = [
    "Affinity",
    "Evidence",
    "Explanation",
    "Film",
    "Follower",
    "Gallery",
    "Identity",
    "Instance",
    "Instances",
    "Label",
    "Manifest",
    "Match",
    "Model",
    "Moment",
    "Numbers",
    "OneglanceError",
    "Points",
    "Prediction",
    "Record",
    "Run",
    "Segments",
    "Tags",
    "TrackSettings",
    "Tuning",
    "affinity",
    "compare",
    "evaluate",
    "explain",
    "load",
    "report",
    "resume",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'oneglance' has no attribute {name!r}")
    module = import_module(f"oneglance.{_HOMES[name]}")
    return getattr(module, "evaluate_run" if name == "evaluate" else name)
