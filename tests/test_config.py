"""The YAML is read strictly: every wrong key, kind and name is said, with the nearest right one."""

import copy

import pytest
import yaml

from oneglance.config import load_config, parse_config, write_yaml
from oneglance.errors import OneglanceError

GOOD = {
    "tasks": {
        "weather": {"kind": "classification", "classes": ["clear", "rain"]},
        "objects": {"kind": "detection", "classes": ["car"]},
        "eyes": {"kind": "keypoints", "points": ["left", "right"], "flip": [["left", "right"]]},
    },
    "sources": [
        {"format": "folder", "root": "weather", "tasks": ["weather"]},
        {"format": "coco", "images": "images", "labels": "labels.json", "tasks": ["objects"]},
        {"format": "csv", "images": "eyes", "labels": "eyes.csv", "tasks": {"eyes": {"x": "x{i}", "y": "y{i}"}}},
    ],
}


def test_statistics_by_size_need_sizes_that_say_whose_they_are():
    train = {"size": [224, 224], "sizes": {"faces": [160, 160]}, "eval_sizes": {"faces": [192, 192]}}
    assert parse_config(GOOD | {"train": train}).train.scored_as == {(224, 224): (224, 224), (192, 192): (160, 160)}
    for wrong, said in (
        ({"eval_sizes": {"faces": [224, 224]}}, r"eval_sizes.faces: 224 x 224 .* are 224 x 224 in .* 160 x 160"),
        ({"eval_size": [192, 192]}, r"eval_sizes.faces: 192 x 192 .* are 224 x 224 in .* 160 x 160"),
        ({"eval_size": [160, 160], "eval_sizes": {}}, r"train.eval_size: 160 x 160 .* are 160 x 160 .* 224 x 224"),
    ):
        with pytest.raises(OneglanceError, match=said):
            parse_config(GOOD | {"train": train | wrong})
        for other in ({"statistics": "shared"}, {"norm": "group"}):
            parse_config(GOOD | {"train": train | wrong, "trunk": other})
    # A size that no source has is none.
    named = [source | {"name": f"s{k}"} for k, source in enumerate(GOOD["sources"])]
    sizes = {f"s{k}": [128 + 32 * k, 128] for k in range(len(named))}
    parse_config(GOOD | {"sources": named, "train": {"sizes": sizes, "eval_sizes": {"s0": [320, 320]}}})


def test_a_good_configuration_has_defaults_for_all_the_rest():
    config = parse_config(copy.deepcopy(GOOD))
    assert config.train.size == (320, 320)
    assert config.mixing.rule == "proportional"
    assert config.tasks["eyes"].flip == (("left", "right"),)


def test_it_survives_being_written_out(tmp_path):
    config = parse_config(copy.deepcopy(GOOD))
    write_yaml(tmp_path / "c.yaml", config)
    assert load_config(tmp_path / "c.yaml") == config


def changed(path: str, value: object) -> dict:
    data = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    at = data
    for parent in parents:
        at = at[int(parent)] if isinstance(at, list) else at.setdefault(parent, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trian", {"epochs": 3}, r"trian: unknown key; did you mean 'train'\?"),
        ("train", {"epoch": 3}, r"train.epoch: unknown key; did you mean 'epochs'\?"),
        ("train", {"epochs": "many"}, r"train.epochs: must be a whole number .*'many'"),
        ("train", {"epochs": 0}, r"train.epochs: .*greater than or equal to 1"),
        ("train", {"size": [300, 320]}, r"train.size: .*multiples of 32 from 64 to 8192, not 300 x 320"),
        ("train", {"sizes": {"faces": [112, 112]}}, r"train.sizes: .*multiples of 32 from 64 to 8192, not 112 x 112"),
        ("trunk", {"backbone": 3}, r"trunk.backbone"),
        ("tasks.weather.kind", "clasification", r"weather: no kind 'clasification'; did you mean 'classification'\?"),
        ("tasks.weather.kind", ..., r"weather: the key `kind` is missing"),
        ("tasks.weather.clases", ["a"], r"weather.clases: unknown key; did you mean 'classes'\?"),
        ("tasks.weather.classes", ..., r"weather.classes: this key is missing"),
        ("tasks.weather.classes", ["one"], r"weather.classes: .*at least 2"),
        ("tasks.weather", "classification", r"weather: must be a mapping with the key `kind`"),
        ("tasks", ["weather"], r"must be a mapping of names to tasks"),
        ("tasks.eyes.flip", [["left", "rihgt"]], r"'rihgt' is not one of the points"),
        ("tasks.objects.on", "objects.face", r"tasks.objects.on: .* has no class .face"),
        ("tasks.lonely", {"kind": "regression", "targets": ["age"]}, r"tasks.lonely: no source has labels for it"),
        ("sources.0.format", "folders", r"0: no format 'folders'; did you mean 'folder'\?"),
        ("sources.0.tasks", ["wether"], r"sources.0.tasks: no task is called 'wether'; did you mean 'weather'\?"),
        ("sources", {}, r"must be a list of sources"),
        ("balance", {"weights": {"objects": -1}}, r"balance.weights.objects: .*greater than or equal to 0"),
        ("balance", {"weights": {"object": 1}}, r"balance.weights: no task is called 'object'; did you mean 'objects'"),
        ("sharing", {"scheme": "softly"}, r"sharing.scheme"),
        ("mixing", {"rule": "equals"}, r"mixing.rule"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(OneglanceError, match=message):
        parse_config(changed(path, value))


def test_all_mistakes_are_named_at_once():
    data = changed("train", {"epoch": 3, "batsh": 2})
    with pytest.raises(OneglanceError) as error:
        parse_config(data, "street.yaml")
    assert "street.yaml: train.epoch" in str(error.value)
    assert "street.yaml: train.batsh" in str(error.value)


def test_overrides_reach_into_mappings_and_lists():
    overrides = ["train.epochs=7", "tasks.weather.smoothing=0", "sources.0.root=elsewhere", "trunk.pretrained=false"]
    config = parse_config(copy.deepcopy(GOOD), overrides=overrides)
    assert config.train.epochs == 7
    assert config.tasks["weather"].smoothing == 0
    assert str(config.sources[0].root) == "elsewhere"
    assert config.trunk.pretrained is False


@pytest.mark.parametrize(
    "override", ["train.epochs", "train.epochs=[", "train.epoch=1", "sources.9.root=x", "tasks.weather.kind.x=1"]
)
def test_a_wrong_override_is_named(override):
    with pytest.raises(OneglanceError, match=r"epoch|sources|kind"):
        parse_config(copy.deepcopy(GOOD), overrides=[override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"tasks: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"- 1\n", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"!!python/object/apply:os.system ['true']", "not valid YAML"),
        (b"x: " + b"a" * 1_000_001, "larger than"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content, message):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(OneglanceError, match=message) as error:
        load_config(tmp_path / "c.yaml")
    assert "c.yaml" in str(error.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(OneglanceError, match="oneglance init"):
        load_config(tmp_path / "no.yaml")


def test_the_examples_are_valid():
    from pathlib import Path

    examples = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        config = load_config(path)
        assert set(config.tasks) == {name for source in config.sources for name in source.tasks}
        assert yaml.safe_load(path.read_text())["sources"]


@pytest.mark.parametrize("name", ["type", "values", "keys", "training"])
def test_a_task_may_not_be_called_what_a_network_calls_something_itself(name):
    data = changed(f"tasks.{name}", GOOD["tasks"]["weather"])
    data["sources"][0]["tasks"].append(name)
    with pytest.raises(OneglanceError, match=f"call the task '{name}_'"):
        parse_config(data)


@pytest.mark.parametrize("name", ["a.b", "a/b", "", "a b"])
def test_a_tasks_name_is_letters_and_digits(name):
    data = copy.deepcopy(GOOD)
    data["tasks"][name] = GOOD["tasks"]["weather"]
    data["sources"][0]["tasks"].append(name)
    with pytest.raises(OneglanceError, match="letters, digits, _ and -"):
        parse_config(data)


def test_words_that_old_yaml_takes_for_booleans_stay_words(tmp_path):
    data = copy.deepcopy(GOOD)
    data["tasks"]["weather"]["classes"] = ["yes", "no"]
    text = (
        yaml.safe_dump(data)
        .replace("'yes'", "yes")
        .replace("'no'", "no")
        .replace("kind: cl", "on: image\n    kind: cl")
    )
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(tmp_path / "c.yaml", ["trunk.pretrained=false", "tasks.objects.classes=[on, off]"])
    assert config.tasks["weather"].classes == ("yes", "no")
    assert config.tasks["objects"].classes == ("on", "off")
    assert config.trunk.pretrained is False
    write_yaml(tmp_path / "d.yaml", config)
    assert load_config(tmp_path / "d.yaml") == config


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(OneglanceError, match=r"weather: classes: 'clear' stands there twice"):
        parse_config(changed("tasks.weather.classes", ["clear", "rain", "clear"]))
    with pytest.raises(OneglanceError, match=r"eyes\.points"):
        parse_config(changed("tasks.eyes", {"kind": "keypoints", "points": []}))
