"""Data sets in other people's formats, read into records and written from them. A format is one file and one
line.
"""

from __future__ import annotations

from pathlib import Path

from oneglance.formats.base import SourceSettings, Suggestion, WriteOptions
from oneglance.formats.coco import CocoSettings
from oneglance.formats.convert import convert
from oneglance.formats.csv import CsvSettings
from oneglance.formats.files import need_folder
from oneglance.formats.folder import FolderSettings
from oneglance.formats.labelme import LabelmeSettings
from oneglance.formats.lfw import LfwSettings
from oneglance.formats.masks import MasksSettings
from oneglance.formats.recognition import forget_folders, with_split
from oneglance.formats.voc import VocSettings
from oneglance.formats.yolo import YoloSettings

#: The formats by name.
FORMATS: dict[str, type[SourceSettings]] = {
    "coco": CocoSettings,
    "voc": VocSettings,
    "yolo": YoloSettings,
    "labelme": LabelmeSettings,
    "masks": MasksSettings,
    "csv": CsvSettings,
    "lfw": LfwSettings,
    "folder": FolderSettings,
}
__all__ = ["FORMATS", "SourceSettings", "Suggestion", "WriteOptions", "convert", "recognise"]


def recognise(folder: Path) -> list[Suggestion]:
    """The data sets that a folder holds, with paths relative to it; some thousand files are looked at, not
    all.

    Suggestions of several formats name their tasks independently: two of the same name and different classes
    are two tasks, to be renamed by whoever puts them together.
    """
    need_folder(folder, "folder")
    try:
        return [with_split(suggestion) for settings in FORMATS.values() for suggestion in settings.recognise(folder)]
    finally:
        forget_folders()
