"""The documents are true: their snippets run as printed, their YAML is read, their reference is what the code says.

A fence is run where a comment stands on the line before it: ``<!-- test: NAME -->``. All fences of a NAME on a page run
in order, in one folder that holds a small data set of each kind (see ``world``). After the name may stand ``file=F``
(the fence is written to the file F), ``output`` (the fence is what the snippet before printed) or ``slow``. What a
reader need not see is ``<!-- test: NAME hidden``, a fence, ``-->``.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from oneglance.cli import app, reference
from oneglance.config import parse_config
from oneglance.formats import FORMATS
from oneglance.tasks import KINDS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_FENCE = re.compile(r"^<!-- test: (?P<marks>[^\n]*?)(?: -->)?\n```(?P<language>\w+)\n(?P<code>.*?)^```$", re.S | re.M)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.S | re.M)


@dataclass(frozen=True)
class Snippet:
    """A fence that is run: its language, its code, its marks."""

    language: str
    code: str
    marks: tuple[str, ...]


def stories() -> Iterator[Any]:
    """The snippets of each page, by name, as pytest's parameters."""
    for page in PAGES:
        found: dict[str, list[Snippet]] = {}
        for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
            name, *marks = match["marks"].split()
            found.setdefault(name, []).append(Snippet(match["language"], match["code"], tuple(marks)))
        for name, snippets in found.items():
            slow = any("slow" in one.marks for one in snippets)
            yield pytest.param(snippets, id=name, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty folder with `cells` (VOC), `street` (COCO) and `weather` (class folders), 64 px each."""
    rng = np.random.default_rng(0)

    def picture(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(path)

    xml = "<annotation><object><name>{}</name><bndbox>{}</bndbox></object></annotation>"
    box = "<xmin>9</xmin><ymin>9</ymin><xmax>40</xmax><ymax>48</ymax>"
    for split, numbers in (("train", range(8)), ("val", range(8, 10)), ("test", range(10, 12))):
        for k in numbers:
            picture(tmp_path / f"cells/JPEGImages/a{k:02}.jpg")
            labels = tmp_path / f"cells/Annotations/a{k:02}.xml"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(xml.format(("apple", "pear")[k % 2], box))
        names = tmp_path / f"cells/ImageSets/Main/{split}.txt"
        names.parent.mkdir(parents=True, exist_ok=True)
        names.write_text("".join(f"a{k:02}\n" for k in numbers))
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        images, annotations = [], []
        for k in numbers:
            picture(tmp_path / f"street/{split}/s{k:02}.jpg")
            images.append({"id": k, "file_name": f"s{k:02}.jpg", "width": 64, "height": 64})
            one = {"id": k + 1, "image_id": k, "category_id": 1 + k % 2, "bbox": [8, 8, 32, 40]}
            annotations.append(one | {"area": 1280, "iscrowd": 0})
        categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]
        path = tmp_path / f"street/annotations/instances_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    for k in range(12):
        picture(tmp_path / f"weather/{('clear', 'rain')[k % 2]}/w{k:02}.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def lists() -> Iterator[None]:
    """The lists of kinds and formats, and the modules, as they were before a snippet added to them."""
    kinds, formats, modules = dict(KINDS), dict(FORMATS), set(sys.modules)
    yield
    for known, before in ((KINDS, kinds), (FORMATS, formats)):
        known.clear()
        known.update(before)  # type: ignore[arg-type]
    for name in ("count_task", "filename_format"):
        if name not in modules:
            sys.modules.pop(name, None)


@pytest.mark.parametrize("snippets", list(stories()))
def test_snippets_run_as_printed(snippets: list[Snippet], world: Path, lists: None) -> None:
    printed = ""
    names: dict[str, Any] = {}
    for one in snippets:
        file = next((mark.removeprefix("file=") for mark in one.marks if mark.startswith("file=")), None)
        if "output" in one.marks:
            assert printed == one.code
        elif file is not None:
            (world / file).write_text(included(one.code), encoding="utf-8")
        elif one.language == "sh":
            for line in one.code.replace("\\\n", " ").splitlines():
                command(line)
        elif one.language == "python":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile(one.code, "snippet", "exec"), names)
            printed = out.getvalue()
        else:
            raise AssertionError(f"nothing is known of running {one.language}")


def included(code: str) -> str:
    """A fence's text, files that it shows put in."""
    match = re.fullmatch(r'--8<-- "([^"]+)"\n', code)
    return (DOCS / "code" / match[1]).read_text(encoding="utf-8") if match else code


def command(line: str) -> None:
    """Run a line of a shell snippet in this process: starting Python and torch anew takes seconds a line."""
    words = shlex.split(line, comments=True)
    if not words:
        return
    assert words[0] == "oneglance", f"only oneglance's commands are run: {line}"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}"


def test_every_page_with_commands_has_some_that_are_run() -> None:
    """A comment that is written otherwise would be passed over in silence."""
    marked = sum(page.read_text(encoding="utf-8").count("<!-- test:") for page in PAGES)
    assert marked == sum(len(one.values[0]) for one in stories())
    assert marked > 25


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    page = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")
    make = f"python -m oneglance.cli.reference {name} > docs/reference/{name}.md"
    assert page == reference.PAGES[name](), f"make it anew: {make}"


def test_every_kind_format_and_command_has_its_section() -> None:
    page = reference.configuration()
    for kind in KINDS:
        assert f"### Task kind `{kind}`" in page
    for name in FORMATS:
        assert f"### Format `{name}`" in page
    for registered in app.registered_commands:
        assert f"## `oneglance {registered.callback.__name__}`" in reference.commands()  # type: ignore[union-attr]


def yaml_blocks() -> Iterator[Any]:
    """Every YAML fence of the documents."""
    for page in PAGES:
        for number, match in enumerate(_YAML.finditer(page.read_text(encoding="utf-8"))):
            yield pytest.param(match[1], id=f"{page.relative_to(DOCS)}-{number}")


@pytest.mark.parametrize("text", list(yaml_blocks()))
def test_yaml_in_the_documents_is_read(text: str) -> None:
    """What a block leaves out is put in, as little as it takes; what it says is refused where it is wrong."""
    data = yaml.safe_load(text)
    tasks = data.get("tasks", {})
    if any("kind" not in one for one in tasks.values()):  # the long form of a table's tasks
        data = {"sources": [{"format": "csv", "labels": "x.csv", "tasks": tasks}]}
    sources = data.setdefault("sources", [])
    named = {name for one in sources for name in one["tasks"]} or {"answer"}
    data["tasks"] = {name: {"kind": "detection", "classes": ["a"]} for name in named} | data.get("tasks", {})
    unfed = [name for name in data["tasks"] if not any(name in one["tasks"] for one in sources)]
    if unfed:
        sources.append({"format": "folder", "root": "x", "tasks": unfed})
    # YAML 1.1's reader makes True of the key `on`.
    data["tasks"] = {n: {("on" if k is True else k): v for k, v in one.items()} for n, one in data["tasks"].items()}
    parse_config(data)
