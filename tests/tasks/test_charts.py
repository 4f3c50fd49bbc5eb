"""Every kind's charts against hand-made cases and scikit-learn; unknown labels are in none; qualities rank."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from oneglance.annotations import Identity, Instance, Instances, Label, Numbers, Points, Segments, Tags
from oneglance.tasks import (
    KINDS,
    ClassificationSettings,
    DetectionSettings,
    EmbeddingSettings,
    KeypointsSettings,
    MaskSettings,
    RegressionSettings,
    SegmentationSettings,
    TaggingSettings,
    create_tasks,
)
from oneglance.tasks.charts import MOST_POINTS, Bars, Curves, Histogram, Matrix, Scatter, Table, thinned

ABC = ("a", "b", "c")
NAN = float("nan")


def task(settings):
    return create_tasks({"t": settings})["t"]


def chart(metric, kind, stem=None):
    """The metric's one chart of this kind (and stem)."""
    (found,) = (one for one in metric.charts() if isinstance(one, kind) and stem in (None, one.stem))
    return found


def box(x1, y1, x2, y2, label="a", score=None, **facts) -> Instance:
    return Instance(label, box=np.float32([x1, y1, x2, y2]), score=score, **facts)


# --- what holds of all kinds -------------------------------------------------------------------------------


SETTINGS = {
    "classification": ClassificationSettings(classes=ABC),
    "tagging": TaggingSettings(classes=ABC),
    "regression": RegressionSettings(targets=("age", "size")),
    "keypoints": KeypointsSettings(points=3),
    "segmentation": SegmentationSettings(classes=ABC),
    "detection": DetectionSettings(classes=ABC),
    "mask": MaskSettings(on="objects.a"),
    "embedding": EmbeddingSettings(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_that_saw_nothing_has_no_charts_and_a_score_says_what_it_means(kind):
    one = task(SETTINGS[kind])
    assert one.metric().charts() == []
    assert len(one.score_means) > 20
    assert len(one.score_means) < 120
    assert not one.score_means.endswith(".")


def test_labels_that_say_nothing_make_no_charts_and_no_quality():
    nothing = {
        "tagging": (Tags((), scores=np.float32([0.9, 0.1, 0.2])), Tags((), annotated=())),
        "regression": (Numbers(np.float32([1, 2])), Numbers(np.float32([NAN, NAN]))),
        "keypoints": (Points(np.ones((3, 2), np.float32), np.full(3, 2, np.int8)),
                      Points(np.zeros((3, 2), np.float32), np.zeros(3, np.int8))),
        "segmentation": (Segments(indices=np.zeros((4, 4), np.uint8)),
                         Segments(indices=np.full((4, 4), 255, np.uint8))),
        "detection": (Instances((box(0, 0, 9, 9, score=0.9),)), Instances((), annotated=())),
        "embedding": (Identity(vector=np.float32([0.6, 0.8])), Identity(None)),
    }  # fmt: skip
    for kind, (predicted, truth) in nothing.items():
        one = task(SETTINGS[kind])
        metric = one.metric()
        metric.update(predicted, truth)
        assert metric.charts() == [], kind
        assert math.isnan(one.quality(predicted, truth)), kind


def test_a_thinned_curve_keeps_its_ends():
    x, y = thinned(np.arange(5000), np.arange(5000) ** 2)
    assert len(x) == len(y) == MOST_POINTS
    assert (x[0], x[-1], y[-1]) == (0, 4999, 4999**2)
    assert len(thinned([1, 2], [3, 4])[0]) == 2


# --- classification ----------------------------------------------------------------------------------------


def test_the_confusion_matrix_and_the_table_of_classes_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, guess = rng.choice(ABC, 80), rng.choice(ABC[:2], 80)
    metric = task(SETTINGS["classification"]).metric()
    for t, g in zip(truth, guess, strict=True):
        metric.update(Label(str(g)), Label(str(t)))
    matrix = chart(metric, Matrix)
    assert matrix.rows == matrix.columns == ABC
    assert (matrix.counts == sk.confusion_matrix(truth, guess, labels=ABC)).all()
    precision, recall, _, support = sk.precision_recall_fscore_support(truth, guess, labels=ABC, zero_division=np.nan)
    expected = [(name, int(n), r, p) for name, n, r, p in zip(ABC, support, recall, precision, strict=True)]
    for row, wanted in zip(chart(metric, Table).rows, expected, strict=True):
        assert row[:2] == wanted[:2]
        assert row[2:] == pytest.approx(wanted[2:], nan_ok=True)


def test_the_quality_of_a_class_is_the_probability_of_the_true_one():
    one = task(SETTINGS["classification"])
    said = Label("a", 0.7, ABC, np.float32([0.7, 0.2, 0.1]))
    assert [one.quality(said, Label(name)) for name in ABC] == pytest.approx([0.7, 0.2, 0.1])
    assert one.quality(Label("b"), Label("b")) == 1


# --- tagging -----------------------------------------------------------------------------------------------


def test_precision_and_recall_of_tags_are_scikit_learns_over_the_known_labels():
    rng = np.random.default_rng(3)
    metric = task(SETTINGS["tagging"]).metric()
    scores = rng.integers(0, 8, (60, 3)).astype(np.float32) / 7  # with ties
    truth, known = rng.random((60, 3)) < 0.4, rng.random((60, 3)) < 0.7
    for s, t, k in zip(scores, truth, known, strict=True):
        names, looked_for = (tuple(np.array(ABC)[m].tolist()) for m in (t & k, k))
        metric.update(Tags((), scores=s), Tags(names, annotated=looked_for))
    curves, table = chart(metric, Curves), chart(metric, Table)
    for k, (series, row) in enumerate(zip(curves.series, table.rows, strict=True)):
        s, t = scores[known[:, k], k], truth[known[:, k], k]
        precision, recall, _ = sk.precision_recall_curve(t, s)
        mine = dict(zip(series.x.tolist(), series.y.tolist(), strict=True))
        theirs = dict(zip(recall[:-1][::-1].tolist(), precision[:-1][::-1].tolist(), strict=True))
        assert {x: y for x, y in mine.items() if x > 0} == pytest.approx({x: y for x, y in theirs.items() if x > 0})
        expected = (ABC[k], len(t), int(t.sum()), sk.average_precision_score(t, s))
        assert row == pytest.approx((*expected, sk.recall_score(t, s >= 0.5), sk.precision_score(t, s >= 0.5)))


def test_a_tag_that_nobody_denied_has_a_row_and_no_curve():
    metric = task(SETTINGS["tagging"]).metric()
    metric.update(Tags((), scores=np.float32([0.9, 0.2, 0.3])), Tags(("a",), annotated=("a",)))
    assert [type(one) for one in metric.charts()] == [Table]
    rows = chart(metric, Table).rows
    assert rows[0][:3] == ("a", 1, 1)
    assert rows[1][:3] == ("b", 0, 0)
    assert math.isnan(rows[0][3])


def test_the_quality_of_tags_looks_at_the_known_ones_alone():
    one = task(SETTINGS["tagging"])
    said = Tags((), scores=np.float32([0.9, 0.8, 0.0]))
    assert one.quality(said, Tags(("a",), annotated=("a", "b"))) == pytest.approx((0.9 + 0.2) / 2)
    assert one.quality(said, Tags(("a", "b"))) == pytest.approx((0.9 + 0.8 + 1) / 3)


# --- regression --------------------------------------------------------------------------------------------


def test_the_charts_of_numbers_leave_unknown_ones_out():
    metric = task(SETTINGS["regression"]).metric()
    for said, true in (((1, 5), (2, NAN)), ((4, 5), (3, NAN)), ((7, 5), (NAN, NAN))):
        metric.update(Numbers(np.float32(said)), Numbers(np.float32(true)))
    dots = chart(metric, Scatter)
    assert (dots.x.tolist(), dots.y.tolist()) == ([2, 3], [1, 4])
    errors = chart(metric, Histogram)
    assert errors.counts.sum() == 2
    assert (errors.edges[0], errors.edges[-1]) == (-1, 1)
    rows = chart(metric, Table).rows
    assert rows[0] == ("age", 2, 1.0, pytest.approx(-3))
    assert rows[1][:2] == ("size", 0)


def test_the_quality_of_numbers_weighs_them_by_their_spread():
    one = task(SETTINGS["regression"])
    said = Numbers(np.float32([10, 1000]), np.float32([1, 100]))
    near, far = (one.quality(said, Numbers(np.float32(t))) for t in ((10, 1100), (12, 1000)))
    assert near == pytest.approx(1 / 1.5)
    assert far == pytest.approx(1 / 2)
    assert one.quality(said, Numbers(np.float32([NAN, 1000]))) == 1


# --- keypoints ---------------------------------------------------------------------------------------------


def points(*xy, visibility=(2, 2, 2)):
    return Points(np.float32(xy), np.int8(visibility))


def test_the_error_curve_and_the_errors_of_points_by_hand():
    settings = KeypointsSettings(points=("l", "r", "n"), normaliser=("l", "r"))
    metric = task(settings).metric()
    true = points((0, 0), (10, 0), (5, 5))
    metric.update(points((0, 0), (10, 0), (5, 8)), true)  # errors 0, 0, 0.3
    metric.update(points((0, 1), (10, 0), (5, 5)), true)  # errors 0.1, 0, 0
    unlabelled = points((0, 0), (10, 0), (NAN, NAN), visibility=(2, 2, 0))
    metric.update(points((0, 0), (10, 4), (5, 500)), unlabelled)  # errors 0, 0.4, unknown
    assert chart(metric, Bars).values == pytest.approx([0.1 / 3, 0.4 / 3, 0.3 / 2])
    found = [(row[1], row[3]) for row in chart(metric, Table).rows]
    assert found == [(3, pytest.approx(2 / 3)), (3, pytest.approx(2 / 3)), (2, pytest.approx(1 / 2))]
    curve = chart(metric, Curves).series[0]
    images = np.array([0.1, 0.1 / 3, 0.2])  # the mean of each image
    for x in (0.02, 0.05, 0.15, 0.22):
        at = curve.y[np.searchsorted(curve.x, x, side="right") - 1]
        assert at == pytest.approx((images <= x).mean()), x
    assert metric.compute()["pck"] == pytest.approx(5 / 8)


def test_the_quality_of_points_falls_with_their_distance():
    one = task(KeypointsSettings(points=("l", "r", "n"), normaliser=("l", "r")))
    true = points((0, 0), (10, 0), (5, 5))
    assert one.quality(true, true) == 1
    assert one.quality(points((0, 1), (10, 1), (5, 6)), true) == pytest.approx(0.5)
    assert math.isnan(one.quality(true, points((0, 0), (0, 0), (1, 1))))  # nothing to divide by


# --- segmentation ------------------------------------------------------------------------------------------


def test_the_confusion_of_pixels_is_scikit_learns_without_void():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (20, 30)).astype(np.uint8)
    guess = rng.integers(0, 2, (20, 30)).astype(np.uint8)
    truth[:5] = 255
    metric = task(SETTINGS["segmentation"]).metric()
    metric.update(Segments(indices=guess), Segments(indices=truth))
    matrix = chart(metric, Matrix)
    assert matrix.unit == "pixels"
    assert (matrix.counts == sk.confusion_matrix(truth[5:].ravel(), guess[5:].ravel(), labels=[0, 1, 2])).all()
    iou = sk.jaccard_score(truth[5:].ravel(), guess[5:].ravel(), labels=[0, 1, 2], average=None)
    assert chart(metric, Bars).values == pytest.approx(iou)
    assert [row[1] for row in chart(metric, Table).rows] == np.bincount(truth[5:].ravel()).tolist()


def test_the_quality_of_a_mask_is_its_own_iou():
    one = task(SETTINGS["segmentation"])
    truth = np.zeros((4, 4), np.uint8)
    truth[0], truth[1] = 255, 1
    guess = np.zeros((4, 4), np.uint8)
    guess[0] = 2  # on void: neither right nor wrong
    said, true = Segments(indices=guess), Segments(indices=truth)
    assert one.quality(true, true) == 1
    assert one.quality(said, true) == pytest.approx((8 / 12 + 0) / 2)


# --- detection ---------------------------------------------------------------------------------------------


def detections():
    """Four images: right and one missed; mistaken for b; found where nothing is; b not looked for, a crowd of a."""
    metric = task(DetectionSettings(classes=ABC)).metric()
    metric.update(
        Instances((box(0, 0, 10, 10, score=0.9),)),
        Instances((box(0, 0, 10, 10), box(50, 50, 60, 60)), annotated=("a",)),
    )
    metric.update(Instances((box(0, 0, 10, 10, "b", 0.8),)), Instances((box(0, 0, 10, 10),)))
    metric.update(Instances((box(0, 0, 10, 10, "a", 0.7),)), Instances(()))
    metric.update(
        Instances((box(0, 0, 10, 10, "b", 0.95), box(20, 20, 30, 30, "a", 0.99))),
        Instances((box(15, 15, 60, 60, crowd=True),), annotated=("a",)),
    )
    metric.update(Instances((box(0, 0, 10, 10, "b", 0.85),)), Instances((box(0, 0, 10, 11, "b"),)))
    return metric


def test_the_confusion_of_objects_by_hand():
    metric = detections()
    everything = metric._matrix(0.5)
    assert everything.rows == (*ABC, "nothing there")
    assert everything.columns == (*ABC, "missed")
    assert everything.counts.tolist() == [[1, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    # Above 0.82 the mistaken box and the one on nothing are gone, and what was mistaken is missed.
    assert metric._matrix(0.82).counts.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_curves_of_objects_agree_with_the_scores():
    metric = detections()
    curves = chart(metric, Curves, "PR_curve")
    assert [series.name.split()[0] for series in curves.series] == ["a", "b", "mean"]  # c does not occur
    assert curves.series[-1].main
    assert curves.series[-1].y.mean() == pytest.approx(metric.compute()["map50"])
    rows = {row[0]: row for row in chart(metric, Table).rows}
    assert [rows[name][1] for name in ABC] == [3, 1, 0]
    # a: one of three is found, by the surest box: precision 1, recall 1/3.
    assert rows["a"][4] == pytest.approx(0.5)
    assert 0.7 < rows["a"][5] <= 0.9
    # b: the mistaken box comes second.
    assert rows["b"][4] == pytest.approx(1.0)
    assert 0.8 < rows["b"][5] <= 0.85
    assert math.isnan(rows["c"][2])


def test_f1_by_score_is_that_of_the_boxes_that_are_kept():
    """Against counting: ten objects, found with falling scores, a false box after each."""
    metric = task(DetectionSettings(classes=("a",))).metric()
    scores = np.linspace(0.951, 0.501, 10)
    for score in scores:
        found = (box(0, 0, 10, 10, "a", score), box(40, 40, 50, 50, "a", score - 0.02))
        metric.update(Instances(found), Instances((box(0, 0, 10, 10),)))
    (series,) = chart(metric, Curves, "F1_curve").series
    for threshold in (0.47, 0.6, 0.8, 0.94):
        right, false = int((scores >= threshold).sum()), int((scores - 0.02 >= threshold).sum())
        f1 = 2 * right / (right + false + 10)
        assert series.y[np.searchsorted(series.x, threshold)] == pytest.approx(f1), threshold


def test_a_detector_that_finds_nothing_has_charts_that_say_so():
    metric = task(DetectionSettings(classes=ABC)).metric()
    metric.update(Instances(()), Instances((box(0, 0, 10, 10),)))
    assert chart(metric, Matrix).counts[0].tolist() == [0, 0, 0, 1]
    assert chart(metric, Curves, "PR_curve").series[0].y.max() == 0


def test_the_quality_of_objects_is_their_panoptic_quality():
    one = task(DetectionSettings(classes=ABC))
    truth = Instances((box(0, 0, 10, 10), box(20, 20, 30, 30)))
    right, low = box(0, 0, 10, 10, score=0.9), box(20, 20, 30, 30, score=0.2)
    assert one.quality(Instances((right, box(20, 20, 30, 30, score=0.5))), truth) == 1
    assert one.quality(Instances((right, low)), truth) == pytest.approx(1 / 1.5)
    assert one.quality(Instances((right, right)), truth) == pytest.approx(1 / 2)
    assert one.quality(Instances(()), truth) == 0
    assert one.quality(Instances(()), Instances(())) == 1
    assert one.quality(Instances((right,)), Instances(())) == 0
    only_b = Instances((box(50, 50, 60, 60, "b"),), annotated=("b",))
    assert one.quality(Instances((right, box(50, 50, 60, 60, "b", 0.9))), only_b) == 1  # a was not looked for
    crowd = Instances((box(0, 0, 40, 40, crowd=True),))
    assert one.quality(Instances((right,)), crowd) == 1  # at an ignored object nothing is false
