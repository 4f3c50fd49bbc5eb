"""Seed 001: who a face is and what there is in scenes, learnt together, each alone, and one after the other.

`examples/faces_objects.yaml`, several seeds. Alone: the same network and settings with the other's sources taken out,
for as many looks at its own images. One after the other: the network of the objects learns the faces next, from faces
alone (the seed's own way); what it then still knows of objects is scored. Writes results/faces_objects.json.
"""

from __future__ import annotations

import json
from pathlib import Path

from common import arguments, config_of, spread, table, train_and_score
from oneglance.config import Config

FACES, OBJECTS = ("marks", "who"), ("objects",)
FIGURES = {
    "verification": ("who", "accuracy"), "marks, NME": ("marks", "nme"),
    "objects, mAP50": ("objects", "map50"), "objects, mAP": ("objects", "map"),
}  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "faces_objects.json"


def only(config: Config, tasks: tuple[str, ...], share: float, keep_tasks: bool = False) -> Config:
    """The sources of these tasks alone; an epoch's looks are the ``share`` that they have of the whole's."""
    sources = tuple(one for one in config.sources if set(one.tasks) & set(tasks))
    kept = {name: one for name, one in config.tasks.items() if keep_tasks or name in tasks}
    weights = {name: value for name, value in config.mixing.weights.items() if name in {one.name for one in sources}}
    sizes = {name: value for name, value in config.train.sizes.items() if name in {one.name for one in sources}}
    looks = round(share * LOOKS)
    return config.model_copy(
        update={
            "tasks": kept, "sources": sources,
            "mixing": config.mixing.model_copy(update={"weights": weights, "epoch": looks}),
            "train": config.train.model_copy(update={"sizes": sizes}),
        }
    )  # fmt: skip


#: Looks at images in an epoch of the shared training, and the faces' share of them.
LOOKS, SHARE = 1409, 1203 / (1203 + 2 * 206)


def main() -> None:
    options = arguments(__doc__, which="together,faces,objects,after")
    which = options.which.split(",")
    found: dict[str, dict[str, list[float]]] = {}
    for seed in options.seeds:
        base = config_of("faces_objects", [f"train.seed={seed}", "train.evaluate_every=1000", *options.overrides])
        folder = options.out / "faces_objects"
        variants = {
            "together": base,
            "faces": only(base, FACES, SHARE),
            "objects": only(base, OBJECTS, 1 - SHARE),
        }
        start = {"start": folder / f"objects_{seed}" / "last.safetensors"}
        faces = only(base, FACES, SHARE, keep_tasks=True)
        variants["after"] = faces.model_copy(update={"train": faces.train.model_copy(update=start)})
        for name, config in variants.items():
            if name not in which:
                continue
            if name == "after":  # scored on the scenes as well, which it is not trained on
                scenes = tuple(one for one in base.sources if "objects" in one.tasks and one.split == "test")
                config = config.model_copy(update={"sources": (*config.sources, *scenes)})
            scores = train_and_score(config, folder / f"{name}_{seed}", "test")["scores"]
            for figure, (task, key) in FIGURES.items():
                if task in scores:
                    found.setdefault(name, {}).setdefault(figure, []).append(scores[task][key])
            if "who" in scores:
                found[name].setdefault("standard error", []).append(scores["who"]["standard_error"])
    print(table({name: {figure: spread(values) for figure, values in row.items()} for name, row in found.items()}))
    facts = {"seeds": options.seeds, "overrides": options.overrides, "scores": found}
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
