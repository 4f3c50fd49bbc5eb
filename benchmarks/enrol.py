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

from common import EXAMPLES, arguments, config_of, spread, table
from oneglance.data.dataset import AnnotatedImages
from oneglance.data.loader import evaluation_batches
from oneglance.errors import Problems
from oneglance.evaluation.evaluate import evaluate
from oneglance.ingest import build_manifest
from oneglance.network.network import Network
from oneglance.recognition.draw import impostor_scores
from oneglance.recognition.enrolled import Enrolled, Facts
from oneglance.tasks import create_tasks
from oneglance.tasks.embedding_metric import EmbeddingMetric
from oneglance.training import checkpoint

RESULTS = Path(__file__).parent / "results" / "enrol.json"


def vectors_of_test_people(run: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 [N, D] of all test faces by the run's last weights, and who they are, int64 [N]."""
    config = config_of("faces_objects", [f"train.seed={seed}"])
    tasks = create_tasks(config.tasks)
    network = Network(tasks, config.trunk, config.sharing, config.train.all_sizes)
    network.load_state_dict(checkpoint.load(run / "last.safetensors")[0])
    manifest = build_manifest(config, EXAMPLES.resolve(), Problems())
    rows = manifest.rows(split="test")
    rows = rows[manifest.labelled("who")[rows]]
    only = {"who": tasks["who"]}
    images = AnnotatedImages(manifest, only, config.train.size, sizes=config.train.sizes)
    batches = evaluation_batches(images, rows, 32, 1)
    metric = evaluate(network, only, batches, next(network.parameters()).device, problems=Problems())[1]["who"]
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
        vectors, people = vectors_of_test_people(options.out / "faces_objects" / f"together_{seed}", seed)
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
