"""Seed 001: who a face is and what there is in scenes, learnt together, each alone, and one after the other.

`examples/faces_objects.yaml` by the settings and with the trainings of `compare.py --which faces_objects` (in the same
folder, so that neither makes the other's again), several seeds. Alone: single-task twins. One after the other: the
network of the objects learns the faces next, from faces alone (the seed's own way), for as long as the faces' twin;
what it then still knows of objects is scored. Writes results/faces_objects.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from common import EXAMPLES, arguments, spread, table
from compare import PLAIN, SMALL
from oneglance.errors import Problems
from oneglance.evidence.measure import measure
from oneglance.evidence.plan import SHARED, Given, plain_variant, read_given, twin_of
from oneglance.evidence.study import Data, Variant, measured_file, open_study, run_folder, train_all
from oneglance.ingest import build_manifest

NAME = "faces_objects"
FIGURES = {
    "verification": ("who", "accuracy"), "standard error": ("who", "standard_error"), "AUC": ("who", "auc"),
    "marks, NME": ("marks", "nme"), "people, mAP50": ("objects", "map50"), "people, mAP": ("objects", "map"),
}  # fmt: skip
RESULTS = Path(__file__).parent / "results" / f"{NAME}.json"


def faces_after(given: Given, faces: Variant, objects: Path) -> Variant:
    """The training of the faces' twin, begun with the weights that learnt the objects; scored on scenes as well."""
    scenes = tuple(one for one in given.config.sources if "objects" in one.tasks and one.split == "test")
    config = faces.config.model_copy(
        update={
            "tasks": given.config.tasks, "sources": (*faces.config.sources, *scenes),
            "train": faces.config.train.model_copy(update={"start": objects.resolve()}),
            "mixing": faces.config.mixing.model_copy(update={"weights": {}}),  # the scenes' are of no use
        }
    )  # fmt: skip
    data = Data(build_manifest(config, given.base, Problems()))
    return replace(faces, name="after", config=config, data=lambda _: data)


def main() -> None:
    options = arguments(__doc__)
    given = read_given(EXAMPLES / f"{NAME}.yaml", [*PLAIN, *SMALL[NAME], *options.overrides], SHARED)
    folder = options.out / "compare" / NAME
    together, faces, objects = plain_variant(given), twin_of(given, "who")[0], twin_of(given, "objects")[0]
    open_study(folder)
    found: dict[str, dict[str, list[float]]] = {}
    for seed in options.seeds:
        train_all(folder, [together, faces, objects], [seed], quiet=False, say=print)
        after = faces_after(given, faces, run_folder(folder, objects, seed))
        train_all(folder, [after], [seed], quiet=False, say=print)
        for variant in (together, faces, objects, after):
            kept = measured_file(folder, f"{variant.name}_seed-{seed}", "test")
            tasks = measure(run_folder(folder, variant, seed), kept, "test").tasks
            for figure, (task, key) in FIGURES.items():
                if task in tasks:
                    row = found.setdefault(variant.name, {})
                    row.setdefault(figure, []).append(tasks[task].every[key])
    print(table({name: {figure: spread(values) for figure, values in row.items()} for name, row in found.items()}))
    facts = {"seeds": options.seeds, "overrides": options.overrides, "scores": found}
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
