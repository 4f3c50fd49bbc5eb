"""From a row to a sample: what is not labelled is absent, draws repeat themselves, broken files are named, mosaics keep
only what all their tiles are labelled for."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oneglance.annotations import Instance, Instances, Label, Record, Segments
from oneglance.data.augment import AugmentSettings
from oneglance.data.dataset import AnnotatedImages, Batch, Sample
from oneglance.data.files import load_segments
from oneglance.data.loader import Packed, TrainLoader, evaluation_batches
from oneglance.data.mixing import Draw, MixedBatches, MixingSettings
from oneglance.data.slots import Slots
from oneglance.decode import ImageError
from oneglance.errors import Problem
from oneglance.manifest import Manifest
from oneglance.tasks import (
    ClassificationSettings,
    DetectionSettings,
    KeypointsSettings,
    SegmentationSettings,
    create_tasks,
)

TASKS = create_tasks(
    {
        "kind": ClassificationSettings(classes=("a", "b")),
        "objects": DetectionSettings(classes=("x", "y")),
        "ground": SegmentationSettings(classes=("p", "q")),
    }
)
SIZE = (64, 64)
BOX = np.float32([10, 10, 30, 30])


@pytest.fixture
def rows(tmp_path: Path) -> list[Record]:
    rng = np.random.default_rng(0)
    found = []
    for k in range(8):
        path = tmp_path / f"{k}.png"
        Image.fromarray(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)).save(path)
        Image.fromarray(np.full((48, 64), 1 + k % 2, np.uint8)).save(tmp_path / f"{k}_mask.png")
        found.append(Record(path, 64, 48, "train", "s"))
    return found


def mask(row: Record) -> Segments:
    return Segments(row.path.with_name(f"{row.path.stem}_mask.png"), ((1, "p"), (2, "q")))


def images_of(rows: list[Record], augment: AugmentSettings | None = None, **kwargs) -> AnnotatedImages:
    manifest = Manifest.build(rows, {name: task.column for name, task in TASKS.items()})
    settings = {"s": augment} if augment is not None else None
    return AnnotatedImages(manifest, TASKS, SIZE, augment=settings, partners={"s": np.arange(len(rows))}, **kwargs)


def test_a_task_that_nobody_labelled_has_no_target_and_an_empty_one_has(rows):
    rows[0] = replace(rows[0], annotations={"kind": Label("b"), "objects": None})
    rows[1] = replace(rows[1], annotations={"objects": Instances()})
    images = images_of(rows)
    assert set(images[0].targets) == {"kind"}
    assert set(images[1].targets) == {"objects"}
    assert len(images[1].targets["objects"]["labels"]) == 0
    assert images[2].targets == {}
    batch = images.batch([0, 1, 2])
    assert batch.rows["kind"].tolist() == [0]
    assert batch.rows["objects"].tolist() == [1]
    assert batch.targets["objects"]["boxes"].shape == (1, 0, 4)


def test_evaluation_shows_the_labels_in_original_pixels(rows):
    rows[0] = replace(rows[0], annotations={"objects": Instances((Instance("x", box=BOX),)), "ground": mask(rows[0])})
    sample = images_of(rows)[0]
    np.testing.assert_array_equal(sample.truths["objects"].items[0].box, BOX)
    assert sample.truths["ground"].indices.shape == (48, 64)
    # letterboxed into 64 x 64: eight rows of padding above and below, void in the mask
    np.testing.assert_allclose(sample.targets["objects"]["boxes"], [[10, 18, 30, 38]])
    indices = sample.targets["ground"]["indices"]
    assert (indices[:8] == 255).all()
    assert (indices[8:56] == 0).all()


def test_a_draw_repeats_itself_and_another_differs(rows):
    images = images_of(rows, AugmentSettings(mosaic=0.0, rotate=10))
    one, again, other = images[Draw(3, 5)], images[Draw(3, 5)], images[Draw(3, 6)]
    assert np.array_equal(one.image, again.image)
    assert not np.array_equal(one.image, other.image)
    assert not np.array_equal(one.image, images_of(rows, AugmentSettings(rotate=10), seed=1)[Draw(3, 5)].image)


def labelled(rows: list[Record], known: list[dict]) -> list[Record]:
    return [replace(row, annotations=one) for row, one in zip(rows, known, strict=True)]


def test_a_mosaic_keeps_only_what_composes_and_all_four_are_labelled_for(rows):
    objects = {"objects": Instances((Instance("x", box=BOX),))}
    images = images_of(labelled(rows, [{"kind": Label("a"), **objects}] * 8), AugmentSettings(mosaic=1.0))
    assert set(images[Draw(0, 0)].targets) == {"objects"}
    # one image in eight has boxes: a mosaic would have tiles nobody searched, so there is none
    partly = images_of(
        labelled(rows, [{"kind": Label("a"), **objects}] + [{"kind": Label("a")}] * 7), AugmentSettings(mosaic=1.0)
    )
    assert set(partly[Draw(0, 0)].targets) == {"kind", "objects"}


def test_a_mosaic_was_searched_for_what_all_its_tiles_were_searched_for(rows):
    both = {"objects": Instances((Instance("x", box=BOX), Instance("y", box=BOX + 15)))}
    only_x = {"objects": Instances((Instance("x", box=BOX),), ("x",))}
    images = images_of(labelled(rows, [both] * 4 + [only_x] * 4), AugmentSettings(mosaic=1.0))
    seen = set()
    for number in range(40):
        target = images[Draw(0, number)].targets["objects"]
        seen.add(tuple(target["known"].tolist()))
        if not target["known"][1]:
            assert 1 not in target["labels"]
    assert (True, False) in seen


def test_the_mask_of_a_mosaic_is_that_of_its_tiles(rows):
    known = [{"ground": mask(row)} for row in rows]
    target = images_of(labelled(rows, known), AugmentSettings(mosaic=1.0))[Draw(0, 3)].targets["ground"]["indices"]
    assert set(np.unique(target)) <= {0, 1, 255}
    assert ((target == 0) | (target == 1)).mean() > 0.5


def test_images_of_points_without_flip_pairs_are_never_mirrored(tmp_path, rows):
    tasks = create_tasks({"eyes": KeypointsSettings(points=("l", "r"))})
    from oneglance.annotations import Points

    points = Points(np.float32([[10, 20], [40, 20]]), np.int8([2, 2]))
    manifest = Manifest.build([replace(rows[0], annotations={"eyes": points})], {"eyes": tasks["eyes"].column})
    images = AnnotatedImages(manifest, tasks, SIZE, augment={"s": AugmentSettings(flip=1.0, scale=(1, 1))})
    for number in range(5):
        xy = images[Draw(0, number)].targets["eyes"]["xy"]
        assert xy[0, 0] < xy[1, 0]


def test_a_broken_image_is_a_problem_and_the_batch_goes_on(rows):
    rows[2].path.write_bytes(b"<html>")
    images = images_of(labelled(rows, [{"kind": Label("a")}] * 8))
    found = images[2]
    assert isinstance(found, Problem)
    assert "2.png" in found.where
    batch = images.batch([1, 2, 3])
    assert batch.indices == [1, 3]
    assert batch.rows["kind"].tolist() == [0, 1]
    assert [p.where for p in batch.problems] == [found.where]
    nothing = images.batch([2])
    assert nothing.indices == []
    assert not nothing.rows


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_a_batch_holds_what_its_samples_are_one_by_one(rows, mosaic):
    """Also beside images that can't be read, and where a partner of a mosaic can't."""
    rows[2].path.write_bytes(b"<html>")
    known = [{"objects": Instances((Instance("x", BOX),)), "ground": mask(row)} for row in rows]
    augment = AugmentSettings(mosaic=mosaic, scale=(0.5, 1.5), blur=0.5, noise=0.1)
    images = images_of(labelled(rows, known), augment)
    draws = [Draw(k, 10 + k) for k in (0, 2, 5, 3, 2, 7)]
    batch = images.batch(draws)
    alone = [images[draw] for draw in draws if draw.row != 2]
    assert batch.indices == [0, 5, 3, 7] == [sample.row for sample in alone]
    assert [problem.where for problem in batch.problems] == [str(rows[2].path)] * 2
    for k, sample in enumerate(alone):
        np.testing.assert_array_equal(batch.images[k].permute(1, 2, 0), sample.image)
        np.testing.assert_array_equal(batch.targets["ground"]["indices"][k], sample.targets["ground"]["indices"])


def test_a_mask_of_another_size_is_named(rows):
    Image.fromarray(np.ones((10, 10), np.uint8)).save(mask(rows[0]).path)
    with pytest.raises(ImageError, match=r"0_mask\.png: the mask is 10x10, its image 64x48"):
        load_segments(mask(rows[0]), ("p", "q"), (64, 48))
    assert isinstance(images_of(labelled(rows, [{"ground": mask(row)} for row in rows]))[0], Problem)


def test_mask_values_that_mean_nothing_known_are_void(rows):
    values = np.array([[0, 1, 2, 3, 255]], np.uint8)
    path = mask(rows[0]).path
    Image.fromarray(values).save(path)
    found = load_segments(Segments(path, ((1, "q"), (3, "p"))), ("p", "q"), (5, 1))
    assert found.indices.tolist() == [[255, 1, 255, 0, 255]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing(rows, workers):
    images = images_of(labelled(rows, [{"kind": Label("a")}] * 8), AugmentSettings(rotate=5))

    def epochs(count: int) -> list[Batch]:
        # More batches than slots, all kept: what a worker writes later must not reach them.
        draws = MixedBatches({"s": np.arange(8)}, 4, MixingSettings(), seed=0, length=40)
        loader = TrainLoader(images, draws, count)
        return [batch for epoch in range(2) for batches in loader.epoch(epoch) for batch in batches]

    expected = epochs(0)
    assert len(expected) == 20
    for one, other in zip(epochs(workers), expected, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.indices == other.indices


@pytest.mark.parametrize("workers", [0, 1])
def test_sources_have_sizes_of_their_own(rows, workers):
    crops = [replace(row, source="crops", annotations={"kind": Label("b")}) for row in rows[5:]]
    scenes = [replace(row, annotations={"objects": Instances((Instance("x", box=BOX),))}) for row in rows[:5]]
    manifest = Manifest.build([*scenes, *crops], {name: task.column for name, task in TASKS.items()})
    augment = dict.fromkeys(("s", "crops"), AugmentSettings(mosaic=0.5))
    sources = {"s": np.arange(5), "crops": np.arange(5, 8)}
    images = AnnotatedImages(manifest, TASKS, (64, 96), sizes={"crops": (64, 64)}, augment=augment, partners=sources)
    batches = MixedBatches(sources, 8, MixingSettings(), seed=0, apart={"crops": 1})
    for parts in TrainLoader(images, batches, workers).epoch(0):
        assert [tuple(part.images.shape[-2:]) for part in parts] == [(64, 96), (64, 64)]
        assert [set(part.rows) for part in parts] == [{"objects"}, {"kind"}]
        assert [set(part.indices) for part in parts] == [set(range(5)), {5, 6, 7}]
    plain = AnnotatedImages(manifest, TASKS, (64, 96), sizes={"crops": (64, 64)})
    found = list(evaluation_batches(plain, np.array([7, 1, 6, 0, 5]), 2, workers))
    assert [one.indices for one in found] == [[1, 0], [7, 6], [5]]
    assert [tuple(one.images.shape[-2:]) for one in found] == [(64, 96), (64, 64), (64, 64)]
    assert plain[6].image.shape == (64, 64, 3)
    with pytest.raises(ValueError, match="of one size"):
        plain.batch([0, 5])
    assert plain.batch([]).images.shape == (0, 3, 64, 96)


def test_a_batch_comes_out_of_its_packing_as_it_went_in(rows):
    known = {"kind": Label("a"), "objects": Instances((Instance("x", BOX),)), "ground": mask(rows[0])}
    images = images_of(labelled(rows[:4], [known, {"kind": None}, {"objects": Instances()}, {}]))
    batch = images.batch(range(4))
    packed = Packed.of(batch)
    found = packed.unpack()
    assert torch.equal(found.images, batch.images)
    assert found.images.stride() == batch.images.stride()
    assert found.indices == batch.indices
    assert found.rows.keys() == batch.rows.keys()
    assert all(torch.equal(found.rows[name], rows_) for name, rows_ in batch.rows.items())
    for name, of_task in batch.targets.items():
        assert found.targets[name].keys() == of_task.keys()
        for key, tensor in of_task.items():
            assert found.targets[name][key].dtype == tensor.dtype
            assert torch.equal(found.targets[name][key], tensor)
    # One piece of memory, whatever the number of tasks: that is what is sent from process to process.
    assert {t.untyped_storage().data_ptr() for t in (found.images, *found.rows.values())} == {
        packed.memory.untyped_storage().data_ptr()
    }


def test_a_batch_lies_in_its_slot_if_it_fits_there(rows):
    images = images_of(labelled(rows[:4], [{"kind": Label("a"), "ground": mask(rows[0])}] * 4))
    expected = images.batch(range(4))
    roomy, tight = Slots(2, 4 * 2 * images.bytes_of_image), Slots(2, 4 * images.bytes_of_image)
    for slots in (roomy, tight):
        packed = Packed.of(images.batch(range(4), slots[1]), slots, 1)
        assert (packed.memory == (slots.number, 1)) == (slots is roomy)
        found = packed.unpack()
        slots[1].zero_()
        assert torch.equal(found.images, expected.images)
        assert all(
            torch.equal(found.targets["ground"][key], value) for key, value in expected.targets["ground"].items()
        )
    with pytest.raises(TypeError, match="inherited"):
        pickle.dumps(roomy)


def test_where_memory_is_not_to_be_had_batches_go_the_other_way():
    assert isinstance(Slots.shared(2, 1024), Slots)
    assert Slots.shared(1 << 20, 1 << 40) is None


def test_evaluation_goes_through_its_rows_once_in_order(rows):
    images = images_of(labelled(rows, [{"kind": Label("a")}] * 8))
    loader = evaluation_batches(images, np.array([5, 1, 2]), 2, 0)
    assert [batch.indices for batch in loader] == [[5, 1], [2]]
    assert isinstance(images[5], Sample)


def test_evaluation_makes_no_targets(rows, monkeypatch):
    known = {"kind": Label("a"), "objects": Instances((Instance("x", np.array([1, 1, 9, 9], np.float32)),))}
    images = images_of(labelled(rows[:3], [known, {"objects": Instances()}, {}]))
    whole = images.batch([0, 1, 2])
    monkeypatch.setattr(type(TASKS["objects"]), "encode", None)
    (batch,) = evaluation_batches(images, np.array([0, 1, 2]), 3, 0)
    assert batch.targets == {}
    assert [sorted(truths) for truths in batch.truths] == [["kind", "objects"], ["objects"], []]
    assert torch.equal(batch.images, whole.images)
    assert [truths.keys() for truths in batch.truths] == [truths.keys() for truths in whole.truths]


def test_a_partner_that_cannot_be_read_does_not_cost_an_image_its_turn(rows):
    objects = {"objects": Instances((Instance("x", BOX),))}
    images = images_of(labelled(rows[:4], [objects] * 4), AugmentSettings(mosaic=1.0))
    rows[3].path.write_bytes(b"no image")
    assert isinstance(images[Draw(0, 1)], Sample)
    problem = images[Draw(3, 2)]
    assert isinstance(problem, Problem)
    assert problem.where == str(rows[3].path)


def as_jpegs(rows: list[Record]) -> list[Record]:
    """The same rows, their images JPEGs of four times the side, which are reduced while they are decoded."""
    large = []
    for row in rows:
        path = row.path.with_suffix(".jpg")
        with Image.open(row.path) as image:
            image.resize((256, 192)).save(path)
        with Image.open(mask(row).path) as image:
            image.resize((256, 192), Image.Resampling.NEAREST).save(row.path.with_name(f"{path.stem}_large_mask.png"))
        large.append(replace(row, path=path, width=256, height=192))
    return large


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_what_is_kept_from_epoch_to_epoch_changes_no_sample(rows, mosaic, monkeypatch):
    known = [{"objects": Instances((Instance("x", box=BOX),)), "ground": mask(row)} for row in rows]
    whole = labelled(rows, known)
    known = [{"ground": replace(one["ground"], path=one["ground"].path.with_name(f"{k}_large_mask.png"))}
             for k, one in enumerate(known)]  # fmt: skip
    reduced = labelled(as_jpegs(rows), known)
    draws = [[Draw(row, 8 * epoch + row) for row in range(8)] for epoch in range(3)]
    for one in (whole, reduced):
        settings = AugmentSettings(mosaic=mosaic, scale=(0.4, 2.5))
        keeping, anew = images_of(one, settings), images_of(one, settings)
        keeping.files.keep(np.arange(8), 0.1)
        for keys in draws:
            found, expected = keeping.batch(keys), anew.batch(keys)
            assert torch.equal(found.images, expected.images)
            assert found.targets.keys() == expected.targets.keys()
            for name, targets in found.targets.items():
                assert all(torch.equal(value, expected.targets[name][key]) for key, value in targets.items())
    # Masks are of one kind only: by now all of them are kept, and not read again.
    monkeypatch.setattr("oneglance.data.files.decode_mask", lambda path: pytest.fail(f"{path} was read again"))
    keeping.batch(draws[0])


def test_a_broken_image_is_reported_each_time_though_others_are_kept(rows):
    rows[2].path.write_bytes(rows[2].path.read_bytes()[:200])
    images = images_of(labelled(rows, [{"kind": Label("a")}] * 8), AugmentSettings())
    images.files.keep(np.arange(8), 0.1)
    for _ in range(2):
        assert [Path(one.where).name for one in images.batch([Draw(k, k) for k in range(8)]).problems] == ["2.png"]
