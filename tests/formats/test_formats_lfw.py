"""LFW's layout: who is tested on is never trained on, files that don't fit are named by line, nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
from format_helpers import image, read
from typer.testing import CliRunner

from oneglance.annotations import Identity
from oneglance.cli import app
from oneglance.config import load_config
from oneglance.errors import OneglanceError, Problems
from oneglance.formats import FORMATS, WriteOptions, convert, recognise
from oneglance.formats.lfw_files import read_pairs, read_people
from oneglance.manifest import Column, Columns, Manifest, assign_splits

WHO: Columns = {"who": Column("identity")}
SOURCE: dict[str, Any] = {"format": "lfw", "root": ".", "tasks": {"who": "identity"}}
COUNTS = {"Ann": 3, "Bob": 2, "Cid": 1, "Dora": 2, "Eve": 2}
#: Two folds of one matched and one mismatched pair.
PAIRS = "2\t1\nAnn\t1\t3\nAnn\t2\tBob\t1\nBob\t1\t2\nBob\t2\tAnn\t3\n"


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    for name, count in COUNTS.items():
        for k in range(1, count + 1):
            image(tmp_path / name / f"{name}_{k:04d}.jpg")
    return tmp_path


def splits(records: list[Any]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for record in records:
        found.setdefault(record.annotations["who"].name, set()).add(record.split)
    return found


def test_every_image_says_who_it_is_and_is_kept_with_the_persons_others(faces):
    records, problems = read(SOURCE, WHO, faces)
    assert [r.path.relative_to(faces).as_posix() for r in records][:4] == [
        "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Ann/Ann_0003.jpg", "Bob/Bob_0001.jpg",
    ]  # fmt: skip
    assert all(
        r.annotations == {"who": Identity(r.path.parent.name)} and r.group == r.path.parent.name for r in records
    )
    assert len(records) == sum(COUNTS.values())
    assert problems == [
        f"{faces}: 1 times: a person has one image; kept, but nothing of the same person can be compared"
    ]
    divided = assign_splits(Manifest.build(records, WHO), {"train": 0.5, "val": 0.5})
    assert all(len(where) == 1 for where in splits(list(divided)).values())


def test_who_is_in_the_pairs_is_tested_on_and_never_trained_on(faces):
    (faces / "pairs.txt").write_text(PAIRS)
    (faces / "dev.txt").write_text("3\nAnn\t3\nCid\t1\nDora\t2\n")
    (faces / "devtest.txt").write_text("1\nEve\t2\n")
    records, problems = read(SOURCE | {"people": {"train": "dev.txt", "val": "devtest.txt"}}, WHO, faces)
    assert splits(records) == {"Ann": {"test"}, "Bob": {"test"}, "Cid": {"train"}, "Dora": {"train"}, "Eve": {"val"}}
    assert "1 people of the lists in `people` are in a pairs file as well" in problems[0]
    assert splits(read(SOURCE | {"pairs": {}}, WHO, faces)[0]) == {name: {None} for name in COUNTS}
    assert splits(read(SOURCE | {"pairs": {"val": "pairs.txt"}}, WHO, faces)[0])["Bob"] == {"val"}
    for wrong in ({"split": "train"}, {"pairs": {"train": "pairs.txt"}}):
        with pytest.raises(OneglanceError, match="there to be tested on"):
            read(SOURCE | wrong, WHO, faces)


def test_what_the_pairs_name_and_is_not_there_is_named_by_file_and_line(faces):
    (faces / "pairs.txt").write_text("2\t1\nAnn\t1\t9\nAnne\t2\tBob\t1\nBob\t1\t2\nBob\t2\tAnn\t3\n")
    (faces / "dev.txt").write_text("Dora\t5\nFay\t1\n")
    records, problems = read(SOURCE | {"people": {"train": "dev.txt"}}, WHO, faces)
    assert len(records) == sum(COUNTS.values())
    assert problems[:4] == [
        f"{faces}/dev.txt: line 1: 'Dora' has 2 images, the list says 5",
        f"{faces}/dev.txt: line 2: there is no folder of 'Fay'",
        f"{faces}/pairs.txt: line 2: there is no image 'Ann_0009'",
        f"{faces}/pairs.txt: line 3: there is no folder of 'Anne'; did you mean 'Ann'?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the first line of a pairs file"),
        ("ten folds\n", "line 1: the first line of a pairs file"),
        ("2\t2\nAnn\t1\t3\n", "line 1 says 2 folds of 2 matched and 2 mismatched pairs, 8 lines; 1 follow"),
        ("1\nAnn\t1\t3\n\nAnn\t2\tBob\n", "line 4: a mismatched pair, `NAME N OTHER M` is expected here"),
        ("1\nAnn\t1\tBob\t3\nAnn\t2\tBob\t1\n", "line 2: a matched pair, `NAME N M` is expected"),
        ("1\nAnn\t1\tx\nAnn\t2\tBob\t1\n", "line 2: a number from 1 on is expected, not 'x'"),
        ("1\nAnn\t0\t²\nAnn\t2\tBob\t1\n", "line 2: a number from 1 on"),
        ("1\nAnn\t1\t2\nAnn\t2\tAnn\t1\n", "line 3: a mismatched pair is expected here, both images are of 'Ann'"),
    ],
)
def test_a_pairs_file_that_is_none_is_refused_by_line(tmp_path, text, said):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(OneglanceError) as error:
        read_pairs(tmp_path / "pairs.txt")
    assert str(error.value).startswith(f"{tmp_path}/pairs.txt: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no person is named"),
        ("3\nAnn\t1\nBob\t2\n", "its sizes say 3 people, 2 are named"),
        ("Ann\t1\nAnn\t2\n", "line 2: 'Ann' stands in line 1 already"),
        ("Ann\tmany\n", "line 1: a number from 1 on"),
        ("Ann 1 2\n", "line 1: `NAME COUNT` is expected"),
    ],
)
def test_a_people_file_that_is_none_is_refused_by_line(tmp_path, text, said):
    (tmp_path / "people.txt").write_text(text)
    with pytest.raises(OneglanceError, match=r"people\.txt") as error:
        read_people(tmp_path / "people.txt")
    assert said in str(error.value)


def test_lists_of_people_in_folds_are_read(tmp_path):
    (tmp_path / "people.txt").write_text("2\n1\nAnn\t3\n2\nBob\t2\nCid the second\t1\n")
    assert read_people(tmp_path / "people.txt") == {"Ann": (3, 3), "Bob": (2, 5), "Cid the second": (1, 6)}


def test_folds_are_told_by_where_a_pair_stands(tmp_path):
    (tmp_path / "pairs.txt").write_text(PAIRS)
    pairs = read_pairs(tmp_path / "pairs.txt")
    assert [(p.fold, p.same, p.line) for p in pairs] == [(0, True, 2), (0, False, 3), (1, True, 4), (1, False, 5)]
    assert (pairs[1].first, pairs[1].second) == (("Ann", 2), ("Bob", 1))


def test_empty_folders_strays_and_other_names_are_said(faces):
    (faces / "Zoe").mkdir()
    image(faces / "stray.jpg")
    image(faces / "Ann" / "portrait.png")
    (faces / "Ann" / "notes.txt").write_text("x")
    records, problems = read(SOURCE, WHO, faces)
    assert len(records) == sum(COUNTS.values()) + 1
    said = "\n".join(problems)
    assert f"{faces}/Zoe: a person's folder without a single image" in said
    assert "stray.jpg: an image in no person's folder" in said
    assert "1 times: an image is not called NAME_0001" in said
    assert "1 times: a file that is no image by its name is ignored" in said


def test_written_and_read_again_nothing_is_lost(faces):
    (faces / "in.txt").write_text("Ann\t3\nBob\t2\n")
    source = SOURCE | {"people": {"val": "in.txt"}}
    before, _ = read(source, WHO, faces)
    assert convert(FORMATS["lfw"].model_validate(source), "lfw", faces / "out", WHO, faces) == []
    after, _ = read(SOURCE | {"root": "out"}, WHO, faces)
    assert [(r.path.name, r.annotations, r.split, r.group) for r in after] == [
        (r.path.name, r.annotations, r.split, r.group) for r in before
    ]
    with pytest.raises(OneglanceError, match="not empty"):
        convert(FORMATS["lfw"].model_validate(source), "lfw", faces / "out", WHO, faces)


def test_what_the_writer_can_not_hold_is_said(faces):
    image(faces / "Ann" / "aa.jpg")
    image(faces / "Ann" / "Ann_0007.jpg")
    records, _ = read(SOURCE, WHO, faces)
    records[0] = type(records[0])(records[0].path, split="train", annotations={"who": Identity("Ann")}, group="film 1")
    records.append(type(records[0])(records[0].path, annotations={"who": None}))
    said = FORMATS["lfw"].write(records, WHO, faces / "out", WriteOptions())
    assert said == [
        "lfw: its groups are the people; images that had another (1)",
        "lfw: it has no place for images of unknown people; images left out (1)",
        "lfw: images are called NAME_0001; images that were called otherwise (1)",
        "lfw: a person is in one split; people whose images were in several, now in none (1)",
    ]
    assert sorted(p.name for p in (faces / "out/Ann").iterdir()) == [f"Ann_000{k}.jpg" for k in (1, 2, 3, 4, 7)]


def test_people_are_recognised_and_classes_are_not_stolen(faces, tmp_path_factory):
    assert not any(s.source["format"] == "lfw" for s in recognise(faces))  # five folders may be classes
    (faces / "pairs.txt").write_text(PAIRS)
    (found,) = recognise(faces)
    assert found.source == {"format": "lfw", "root": ".", "pairs": "pairs.txt", "tasks": {"who": "identity"}}
    assert found.tasks == {"who": {"kind": "embedding", "pairs": "pairs.txt"}}
    many = tmp_path_factory.mktemp("many")
    for k in range(60):
        image(many / "images" / f"P{k}" / f"P{k}_0001.jpg")
    (found,) = recognise(many)
    assert (found.source["format"], found.source["root"]) == ("lfw", "images")
    classes = tmp_path_factory.mktemp("classes")
    for k in range(40):
        image(classes / "cat" / f"cat_{k:04d}.jpg")
        image(classes / "dog" / f"dog_{k:04d}.jpg")
    (found,) = recognise(classes)
    assert found.source["format"] == "folder"


def test_a_source_without_a_folder_is_refused(tmp_path):
    with pytest.raises(OneglanceError, match="no such folder"):
        list(FORMATS["lfw"].model_validate(SOURCE | {"images": "x"}).read(WHO, Problems(), tmp_path))


def test_init_writes_a_yaml_that_reads_people_and_pairs(faces, tmp_path_factory):
    (faces / "pairs.txt").write_text(PAIRS)
    path = tmp_path_factory.mktemp("yaml") / "faces.yaml"
    result = CliRunner().invoke(app, ["init", str(faces), "--out", str(path)])
    assert result.exit_code == 0, result.output
    config = load_config(path)
    assert (path.parent / config.tasks["who"].pairs).resolve() == (faces / "pairs.txt").resolve()
    (source,) = config.sources
    assert splits(list(source.read(WHO, Problems(), path.parent)))["Ann"] == {"test"}
