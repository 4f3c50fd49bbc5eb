"""From one format to another, saying what the target could not hold."""

from __future__ import annotations

from pathlib import Path

from oneglance.errors import OneglanceError, Problems, nearest
from oneglance.formats.base import SourceSettings, WriteOptions
from oneglance.formats.files import absolute
from oneglance.manifest import Columns


def convert(
    source: SourceSettings,
    target: str,
    out: Path,
    columns: Columns,
    base: Path,
    options: WriteOptions | None = None,
    problems: Problems | None = None,
) -> list[str]:
    """Read a source and write it as ``target`` into the new folder ``out``; returns what was lost, in
    sentences.

    Rows that could not be read are added to ``problems``. Image names are kept relative to the source's image
    folder.
    """
    from oneglance.formats import FORMATS

    if target not in FORMATS:
        raise OneglanceError(f"there is no format {target!r}{nearest(target, FORMATS)}; known: {', '.join(FORMATS)}")
    options = options or WriteOptions()
    if options.root is None:
        options = options.model_copy(update={"root": absolute(source.image_folder(base))})
    mine = {task: column for task, column in columns.items() if task in source.task_names}
    records = source.read(mine, problems if problems is not None else Problems(), base)
    return FORMATS[target].write(records, mine, out, options)
