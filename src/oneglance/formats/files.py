"""Reading text, JSON, XML and YAML that nobody vouches for, and finding images inside a folder and nowhere
else.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import yaml

from oneglance.errors import OneglanceError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})
#: Halves of surrogate pairs, as JSON escapes: they make strings that can't be stored or printed.
_HALF_PAIRS = re.compile(
    r"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}", re.IGNORECASE
)
MEGABYTE = 1 << 20
LARGEST_JSON = 4096 * MEGABYTE
LARGEST_TABLE = 4096 * MEGABYTE
LARGEST_LABEL = 64 * MEGABYTE
LARGEST_YAML = MEGABYTE


def read_bytes(path: Path, limit: int = LARGEST_LABEL) -> bytes:
    """The content of a file of at most ``limit`` bytes; raises OneglanceError where it can't be had."""
    if not path.exists():
        raise OneglanceError(f"{path}: no such file")
    if not path.is_file():
        raise OneglanceError(f"{path}: a file is expected here, this is a folder or a device")
    try:
        size = path.stat().st_size
        if size > limit:
            raise OneglanceError(
                f"{path}: {size / MEGABYTE:.0f} MB, more than the {limit // MEGABYTE} MB that are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise OneglanceError(f"{path}: can't be read ({error.strerror})") from error


def read_text(path: Path, limit: int = LARGEST_LABEL) -> str:
    """A text file as UTF-8 (or UTF-16 where its byte order mark says so); raises OneglanceError for anything
    else.
    """
    data = read_bytes(path, limit)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise OneglanceError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error


def read_json(path: Path, limit: int = LARGEST_JSON) -> Any:
    """The content of a JSON file. NaN and Infinity are let through: whoever uses a number checks it."""
    text = read_text(path, limit)
    if "\\ud" in text.lower():
        text = _HALF_PAIRS.sub(r"\\ufffd", text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise OneglanceError(f"{path}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from error
    except RecursionError as error:
        raise OneglanceError(f"{path}: not read, its JSON is nested too deeply to be annotations") from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise OneglanceError(f"{path}: not readable JSON ({error})") from error


def read_xml(path: Path) -> Element:
    """The root of an XML file; entities, which make XML bombs, are refused."""
    data = read_bytes(path)
    try:
        root: Element = defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
        return root
    except ParseError as error:
        raise OneglanceError(f"{path}: not XML ({error})") from error
    except defusedxml.DefusedXmlException as error:
        raise OneglanceError(
            f"{path}: refused, the XML declares a DTD or entities, which annotations never do"
        ) from error
    except (ValueError, LookupError) as error:
        raise OneglanceError(f"{path}: not readable XML ({error})") from error


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a kilobyte of them can expand to a terabyte."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """The content of a small YAML file."""
    text = read_text(path, LARGEST_YAML)
    try:
        return yaml.load(text, Loader=_PlainLoader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise OneglanceError(f"{path}: not readable YAML ({' '.join(str(error).split())})") from error


def absolute(path: Path) -> Path:
    """An absolute path without ``..``; links stay, since a path is the key by which sources of one image are
    joined.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no disk could hold is simply not there."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists() raises for such names


def need_folder(path: Path, key: str) -> Path:
    """``path`` if it is a folder; raises OneglanceError that names the setting ``key`` otherwise."""
    if not path.is_dir():
        found = "is a file, a folder is expected" if path.exists() else "no such folder"
        raise OneglanceError(f"{path}: {found}; check `{key}` of the source (paths are relative to the YAML's folder)")
    return path


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES


def walk(folder: Path, limit: int | None = None) -> Iterator[str]:
    """Relative POSIX paths of all files below ``folder``, sorted, hidden ones left out; at most ``limit`` of
    them.

    Links to folders are not followed, so that a link can't make a circle. Raises OneglanceError for a folder that may
    not be read: what is in it would be missing without a word.
    """
    count = 0
    for here, folders, names in os.walk(folder, onerror=_forbidden):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = os.path.relpath(here, folder).replace(os.sep, "/")
        prefix = "" if prefix == "." else prefix + "/"
        for name in sorted(names):
            if name.startswith("."):
                continue
            yield prefix + name
            count += 1
            if limit is not None and count >= limit:
                return


def _forbidden(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise OneglanceError(
            f"{error.filename}: this folder may not be read ({error.strerror}); allow it, or move it out of the data"
        ) from error


def walk_images(folder: Path) -> Iterator[str]:
    """Relative POSIX paths of all files below ``folder`` that are called like an image."""
    return (name for name in walk(folder) if is_image_name(name))


def by_stem(folder: Path) -> dict[str, list[str]]:
    """Image files below ``folder`` by their relative path without suffix."""
    stems: dict[str, list[str]] = {}
    for name in walk_images(folder):
        stems.setdefault(posixpath.splitext(name)[0], []).append(name)
    return stems


class Refused(ValueError):
    """A file name that is not used, and why."""


def inside(folder: Path, name: Any, links: bool = False) -> str:
    """The relative path, normalised, of an existing file ``name`` inside ``folder``; raises Refused
    otherwise.

    Names come from strangers' label files: absolute paths, ``..`` and links that lead out are refused.
    Backslashes (Windows) separate folders where no file is called so.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise Refused(f"the image's file name is {name!r}, a path is expected")
    try:
        if "\\" in name and not (folder / name).is_file():
            name = name.replace("\\", "/")
        if name.startswith("/") or name[1:2] == ":":
            raise Refused(f"the image path {name!r} is absolute; only paths inside {folder} are read")
        relative = posixpath.normpath(name).replace(os.sep, "/")
        if relative == ".." or relative.startswith("../"):
            raise Refused(f"the image path {name!r} leads out of {folder}, refused")
        path = folder / relative
        if not path.is_file():
            raise Refused(f"there is no image {relative!r} in {folder}")
        if not links and not path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{relative!r} is a link out of {folder}, refused (allow it with `links: true`)")
    except (OSError, RuntimeError) as error:
        raise Refused(f"the image path {name[:200]!r} can't be used ({error})") from error
    return relative
