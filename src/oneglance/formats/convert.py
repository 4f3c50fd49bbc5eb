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
    # What will not be written is not read: its faults are nobody's concern here.
    holds = FORMATS[target].writes
    wanted = [task for task, column in mine.items() if holds is None or column.type in holds]
    wanted = [task for task in wanted if options.tasks is None or task in options.tasks]
    kept = {task: source.tasks[task] for task in wanted} if isinstance(source.tasks, dict) else wanted
    reduced = source.model_copy(update={"tasks": kept})
    records = reduced.read(
        {task: mine[task] for task in wanted}, problems if problems is not None else Problems(), base
    )
    return FORMATS[target].write(records, mine, out, options)
