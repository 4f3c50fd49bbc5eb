"""Five people enrolled from a few images each, found in other images, among strangers: open-set figures at a rate.

The network of `faces_objects.py` (run that first), which none of these people trained. In each round, half of the test
people say how alike different people look (the threshold), five of the others are enrolled with a few images each,
their other images are to be named, and the rest are strangers, whose images must not be. Writes results/enrol.json.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import oneglance as og
from common import arguments, spread, table
from oneglance.errors import Problems
from oneglance.evaluation.api import read_manifest, score
from oneglance.recognition.draw import impostor_scores
from oneglance.recognition.enrolled import Enrolled, Facts
from oneglance.tasks.embedding.metric import EmbeddingMetric

RESULTS = Path(__file__).parent / "results" / "enrol.json"


def vectors_of_test_people(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 [N, D] of all test faces by the run's last weights, and who they are, int64 [N]."""
    model, manifest = og.load(run, "last"), read_manifest(run)
    metric = score(model, manifest, "test", Problems()).metrics["who"]
    assert isinstance(metric, EmbeddingMetric)
    return metric.seen()


def round_of(
    vectors: np.ndarray, people: np.ndarray, far: float, enrolled: int, images: int, rng: np.random.Generator
) -> dict[str, float]:
    """One round's figures."""
    order = rng.permutation(np.unique(people))
    measured, rest = order[: len(order) // 2], order[len(order) // 2 :]
    known, strangers = rest[:enrolled], rest[enrolled:]
    mine = np.isin(people, measured)
    scores = impostor_scores(vectors[mine], people[mine])
    with tempfile.TemporaryDirectory() as folder:
        facts = Facts("who", vectors.shape[1], "benchmark", far, len(scores), "test people")
        gallery = Enrolled.create(Path(folder) / "gallery", facts, scores)
        probes: list[int] = []
        for person in known:
            rows = rng.permutation(np.flatnonzero(people == person))
            gallery.enrol(str(person), vectors[rows[:images]])
            probes += rows[images:].tolist()
        named = gallery.identify(vectors[probes])
        truth = people[probes].astype(str)
        others = gallery.identify(vectors[np.isin(people, strangers)])
    return {
        "named rightly": float(np.mean([one.name == name for one, name in zip(named, truth, strict=True)])),
        "named wrongly": float(np.mean([one.name not in (None, n) for one, n in zip(named, truth, strict=True)])),
        "nearest is right": float(np.mean([one.nearest == name for one, name in zip(named, truth, strict=True)])),
        "strangers named": float(np.mean([one.name is not None for one in others])),
    }


def main() -> None:
    options = arguments(__doc__, people=5, images=5, far=0.01, rounds=20)
    rows, kept = {}, {}
    for seed in options.seeds:
        vectors, people = vectors_of_test_people(options.out / "compare/faces_objects/runs/shared" / f"seed-{seed}")
        rng = np.random.default_rng(seed)
        found = [
            round_of(vectors, people, options.far, options.people, options.images, rng) for _ in range(options.rounds)
        ]
        figures = {name: [one[name] for one in found] for name in found[0]}
        rows[f"seed {seed}, {options.rounds} rounds"] = {name: spread(values) for name, values in figures.items()}
        kept[seed] = {name: float(np.mean(values)) for name, values in figures.items()}
    print(table(rows))
    facts = {"people": options.people, "images": options.images, "far": options.far, "rounds": options.rounds}
    RESULTS.write_text(json.dumps({**facts, "means": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
