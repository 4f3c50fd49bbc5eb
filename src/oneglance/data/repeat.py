"""Images with rare classes, looked at more often (LVIS, Gupta et al. 2019)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oneglance.manifest import Manifest


def repeat_factors(manifest: Manifest, rows: np.ndarray, threshold: float) -> np.ndarray:
    """How often each image is to be looked at, float64 [n] >= 1, for ``rows`` int64 [n].

    A class in a share f of the images in which it was looked for gets max(1, sqrt(threshold / f)); an image the largest
    of its classes, over all tasks with named classes. An image that nobody labelled with a class says nothing of it.
    """
    factors = np.ones(len(rows))
    for name, column in manifest.columns.items():
        if column.type not in ("label", "tags", "instances") or not column.classes:
            continue
        chunk = manifest.table[name].take(pa.array(rows)).combine_chunks()
        index = {label: k for k, label in enumerate(column.classes)}
        images, labels = _pairs(chunk, column.type)
        classes = np.array([index.get(label, -1) for label in labels], np.int64)
        pairs = np.unique(np.stack([images[classes >= 0], classes[classes >= 0]], 1), axis=0)
        known = _known(chunk, column.type, index)
        share = np.bincount(pairs[:, 1], minlength=len(index)) / np.maximum(known, 1)
        of_class = np.maximum(1.0, np.sqrt(threshold / np.maximum(share, 1e-12)))
        np.maximum.at(factors, pairs[:, 0], of_class[pairs[:, 1]])
    return factors


def repeated(rows: np.ndarray, factors: np.ndarray, seed: int) -> np.ndarray:
    """The rows, each as often as its factor says; the fraction is the chance of once more."""
    whole = np.floor(factors).astype(np.int64)
    more = np.random.default_rng([seed, 3]).random(len(rows)) < factors - whole
    found: np.ndarray = np.repeat(rows, whole + more)
    return found


def _pairs(chunk: pa.Array, kind: str) -> tuple[np.ndarray, list[str]]:
    """Image (place in the column, int64 [N]) and class name of every label."""
    if kind == "label":
        at = np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
        return at, chunk.drop_null().to_pylist()
    lists = pc.struct_field(chunk, "names" if kind == "tags" else "items")
    values = pc.list_flatten(lists)
    labels = values if kind == "tags" else pc.struct_field(values, "label")
    return pc.list_parent_indices(lists).to_numpy().astype(np.int64), labels.to_pylist()


def _known(chunk: pa.Array, kind: str, index: dict[str, int]) -> np.ndarray:
    """In how many images each class was looked for, int64 [C]."""
    labelled = len(chunk) - chunk.null_count
    if kind == "label":
        return np.full(len(index), labelled)
    annotated = pc.struct_field(chunk.drop_null(), "annotated")
    counts = np.full(len(index), annotated.null_count)
    for name in pc.list_flatten(annotated).to_pylist():
        if name in index:
            counts[index[name]] += 1
    return counts
