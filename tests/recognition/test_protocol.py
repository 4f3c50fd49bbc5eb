"""The rules of recognition: toys worked out by hand, and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import KFold

from oneglance.recognition.draw import all_pairs, draw_pairs, draw_people, open_set, template
from oneglance.recognition.protocol import (
    auc,
    best_threshold,
    detection_rate,
    nearness,
    recall_at,
    roc,
    tar_at_far,
    threshold_at,
    view2,
)


def scored(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.5
    return np.round(rng.normal(0, 1, n) + 1.5 * same, 1), same  # rounded: many scores are equal


def test_the_threshold_of_a_fold_is_chosen_on_the_others():
    # Fold 0 alone would choose 0.85, folds 1 and 2 together 0.4: the middle between 0.3 and 0.5.
    scores = [0.9, 0.8, 0.6, 0.3, 0.5, 0.2]
    same = [True, False, True, False, True, False]
    got = view2(scores, same, [0, 0, 1, 1, 2, 2])
    # fold 0: others' best cut lies between 0.3 and 0.5. Folds 1 and 2: one error wherever the cut is put that keeps
    # most; by hand, for fold 1 the others are .9+ .8- .5+ .2-: cuts at 0.35 and at 0.85 have one error, the first of
    # the two (the lower) is the middle one. For fold 2: .9+ .8- .6+ .3-: likewise 0.45.
    assert got.thresholds == pytest.approx([0.4, 0.35, 0.45])
    assert got.accuracies == pytest.approx([0.5, 1.0, 1.0])
    assert got.mean == pytest.approx(5 / 6)
    # deviations -1/3, 1/6, 1/6: variance (1/9 + 1/36 + 1/36) / 2 = 1/12, over sqrt(3)
    assert got.standard_error == pytest.approx(math.sqrt(1 / 12) / math.sqrt(3))


def test_view2_against_a_plain_search_over_folds_by_scikit_learn():
    scores, same = scored()
    fold = np.repeat(np.arange(10), 60)
    got = view2(scores, same, fold)
    candidates = np.unique(np.concatenate([[-9.0], scores]))
    expected = []
    for train, test in KFold(10).split(scores):
        right = [((scores[train] > t) == same[train]).mean() for t in candidates]
        best = max(right)
        # The threshold is one of the best: its accuracy on the other folds is theirs.
        k = len(expected)
        assert ((scores[train] > got.thresholds[k]) == same[train]).mean() == pytest.approx(best)
        expected.append(((scores[test] > got.thresholds[k]) == same[test]).mean())
    assert got.accuracies == pytest.approx(expected)
    assert got.standard_error == pytest.approx(np.std(expected, ddof=1) / math.sqrt(10))


@pytest.mark.parametrize(
    ("scores", "same", "expected"),
    [
        ([0.1, 0.9], [False, True], 0.5),
        ([0.1, 0.9], [True, True], -math.inf),
        ([0.1, 0.9], [False, False], 0.9),
        ([0.5, 0.5, 0.7], [False, True, True], 0.6),  # nothing lies between equal scores; 0.6 and -inf are as good
    ],
)
def test_thresholds_at_the_ends(scores, same, expected):
    got = best_threshold(scores, same)
    assert (
        got == expected or ((np.array(scores) > got) == same).mean() == ((np.array(scores) > expected) == same).mean()
    )
    assert math.isnan(best_threshold([], []))


def test_neighbouring_floats_are_still_told_apart():
    low = 0.1
    high = np.nextafter(low, 1)
    t = best_threshold([low, high], [False, True])
    assert not low > t
    assert high > t


def test_the_accept_rate_is_never_more_than_asked_for():
    impostors = np.arange(100) / 100
    assert threshold_at(impostors, 0.01) == 0.98  # 0.99 alone lies above
    assert threshold_at(impostors, 0.29) == 0.70  # 0.29 x 100 is 28.999... in floats
    assert threshold_at(impostors, 0.009) == 0.99
    assert threshold_at(impostors, 1.0) == -math.inf
    assert threshold_at(np.full(100, 0.5), 0.5) == 0.5  # none of equals is accepted rather than all
    assert math.isnan(threshold_at([], 0.1))


def test_tar_at_far_by_hand():
    same = np.array([True] * 4 + [False] * 10)
    scores = np.array([0.95, 0.85, 0.5, 0.1, 0.9, *np.linspace(0, 0.8, 9)])
    assert tar_at_far(scores, same, 0.1) == 0.5  # one impostor (0.9) may pass: above 0.8 are 0.95 and 0.85
    assert tar_at_far(scores, same, 0.01) == 0.25  # none may
    assert math.isnan(tar_at_far(scores[:4], same[:4], 0.1))


def test_auc_and_curve_are_scikit_learns():
    scores, same = scored()
    assert auc(scores, same) == pytest.approx(roc_auc_score(same, scores))
    far, tar = roc(scores, same)
    their_far, their_tar, _ = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_allclose(far, their_far)
    np.testing.assert_allclose(tar, their_tar)
    for rate in (0.01, 0.1, 0.3):
        assert tar_at_far(scores, same, rate) == pytest.approx(their_tar[their_far <= rate].max())


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_retrieval_leaves_the_query_out_and_asks_no_one_who_is_alone():
    vectors, people = at(0, 10, 12, 90, 95), np.array([0, 0, 1, 1, 2])
    # 0: nearest is 10 (own). 10: nearest is 12 (another's), then 0. 12: 10, 0, then 90. 90: 95, then 12.
    assert recall_at(vectors, people, (1, 2, 3)) == {1: 0.25, 2: 0.75, 3: 1.0}
    mate, other = nearness(vectors, people)
    assert np.degrees(np.arccos(mate[:4])) == pytest.approx([10, 10, 78, 78], abs=0.01)
    assert mate[4] == -np.inf
    assert np.degrees(np.arccos(other)) == pytest.approx([12, 2, 2, 5, 5], abs=0.01)
    assert math.isnan(recall_at(vectors[[0, 2]], people[[0, 2]], (1,))[1])
    # An equally near stranger goes first.
    assert recall_at(at(0, 10, -10), np.array([0, 0, 1]), (1, 2)) == {1: 0.5, 2: 1.0}


def test_retrieval_in_pieces_is_retrieval_at_once():
    rng = np.random.default_rng(0)
    vectors, people = unit(rng.normal(size=(2500, 4))), rng.integers(0, 300, 2500)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    counted = np.bincount(people)[people] > 1
    expected = (people[scores.argmax(1)] == people)[counted].mean()
    assert recall_at(vectors, people, (1,))[1] == pytest.approx(expected)


def test_identification_of_an_open_set_by_hand():
    unknown = [[0.1, 0.4], [0.6, 0.2]]  # highest 0.4 and 0.6
    known = [[0.9, 0.1], [0.5, 0.2], [0.3, 0.8], [0.7, 0.1]]
    mate = [0, 0, 1, 1]
    assert detection_rate(known, mate, unknown, 0.5) == 0.75  # above 0.4: 0.9, 0.5, 0.8 are right, 0.7 is the wrong one
    assert detection_rate(known, mate, unknown, 0.01) == 0.5  # none of the unknown may pass: above 0.6
    assert math.isnan(detection_rate(known, mate, np.zeros((0, 2)), 0.01))


def faces(people: int, each: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 32))
    who = np.repeat(np.arange(people), each)
    return unit(centres[who] + noise * rng.normal(size=(len(who), 32))), who


@pytest.mark.parametrize("shape", [(40, 5), (300, 7)])
def test_drawn_pairs_follow_lfws_recipe(shape):
    _, people = faces(*shape, 0.1)
    people = np.append(people, np.arange(people.max() + 1, people.max() + 11))  # ten people with one image
    pairs = draw_pairs(people, each=30)
    assert len(np.unique(pairs.fold)) == 10
    assert ((people[pairs.first] == people[pairs.second]) == pairs.same).all()
    for k in range(10):
        mine = pairs.fold == k
        assert pairs.same[mine].sum() == 30 == (~pairs.same[mine]).sum()
    both = np.sort(np.stack([pairs.first, pairs.second], 1), 1)
    assert len(np.unique(both, axis=0)) == len(both)
    assert (both[:, 0] != both[:, 1]).all()
    folds_of = [set(pairs.fold[(people[pairs.first] == p) | (people[pairs.second] == p)]) for p in np.unique(people)]
    assert max(len(folds) for folds in folds_of) == 1
    again = draw_pairs(people, each=30)
    assert (again.first == pairs.first).all()
    assert (draw_pairs(people, each=30, seed=1).first != pairs.first).any()


def test_few_people_make_few_pairs_or_none():
    pairs = draw_pairs(np.array([0, 0, 1, 1, 2, 2, 3]))
    assert len(np.unique(pairs.fold)) == 2  # four people, two of them a fold
    assert pairs.same.sum() == (~pairs.same).sum() > 0
    for none in ([], [0], [0, 1, 2], [0, 0, 0], [0, 0, 1]):
        assert len(draw_pairs(np.array(none, np.int64)).same) == 0


def test_whole_people_are_drawn_where_there_are_too_many():
    people = np.repeat(np.arange(50), 7)
    kept = draw_people(people, 100)
    assert 90 < len(kept) <= 100
    assert set(np.bincount(people[kept])) == {0, 7}
    assert (draw_people(people) == np.arange(350)).all()
    vectors, who = faces(3, 2, 0.1)
    scores, same = all_pairs(vectors, who)
    assert len(scores) == 15
    assert same.sum() == 3


def test_open_set_figures_are_high_where_people_differ_and_low_where_they_do_not():
    assert open_set(*faces(20, 6, 0.1), far=0.01) == 1.0
    assert open_set(*faces(20, 6, 20.0), far=0.01) < 0.2
    assert math.isnan(open_set(at(0, 5), np.array([0, 0]), 0.01))
    assert np.linalg.norm(template(at(0, 60))) == pytest.approx(1)
    assert template(at(0, 60)) == pytest.approx(at(30)[0])
    # Vectors have any length: what stands for them is as long as they are.
    assert template(np.float32([[3, 4], [-1, 0]])) == pytest.approx(np.array([1, 2]) * 3 / 5**0.5)
