"""A trained network, ready to be asked."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from oneglance.ahead import in_background, mapped
from oneglance.annotations import Annotation
from oneglance.config import Config
from oneglance.data.dataset import FILL
from oneglance.data.geometry import Frame, letterbox, warp_image
from oneglance.data.sizes import Sizes
from oneglance.decode import ImageError, to_rgb
from oneglance.drawing import draw
from oneglance.errors import OneglanceError, Problems, bare
from oneglance.network.answer import Glance
from oneglance.network.device import device_of
from oneglance.network.network import Network
from oneglance.network.norm import sizes_in
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Task
from oneglance.tracking import Follower, TrackSettings
from oneglance.training import checkpoint
from oneglance.training.api import read_config
from oneglance.training.fit import BEST, LAST
from oneglance.video import Film, Moment

ImageLike = str | Path | bytes | np.ndarray | Image.Image
T = TypeVar("T")

#: Threads that decode images ahead of the network.
DECODERS = max(1, min(4, (os.cpu_count() or 1) - 1))
#: Bytes of a film's frames that go through the network at a time, at most; as many again wait for it.
HELD = 256 << 20


class Prediction(Mapping[str, Annotation]):
    """Every task's answer for one image, in its original pixels: a mapping of task names to annotations.

    ``image`` uint8 [H, W, 3] RGB is the image as it was looked at (EXIF rotation applied).
    """

    def __init__(self, image: np.ndarray, answers: Mapping[str, Annotation], tasks: Mapping[str, Task[Any]]) -> None:
        self.image, self._answers, self._tasks = image, dict(answers), tasks

    def __getitem__(self, task: str) -> Annotation:
        return self._answers[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def plot(self, min_score: float = 0.25, tasks: Sequence[str] | None = None) -> Image.Image:
        """The image with all answers drawn, or those of some tasks; objects below ``min_score`` are left out."""
        asked = self._tasks if tasks is None else {name: self._tasks[name] for name in tasks}
        answers = {name: answer for name, answer in self._answers.items() if name in asked}
        return Image.fromarray(draw(self.image, answers, asked, min_score=min_score))


class Model:
    """A trained network with its tasks. Call it with an image, or with several.

    ``weights``: the name of the file that they were read from; empty where they come from elsewhere.
    """

    def __init__(
        self, network: Network, tasks: Mapping[str, Task[Any]], config: Config, device: str = "auto", weights: str = ""
    ) -> None:
        self.device = device_of(device)
        self.network = network.to(self.device).eval()
        self.tasks, self.config = dict(tasks), config
        self.weights = weights
        self.size = config.train.scored_size

    def __call__(self, image: ImageLike) -> Prediction:
        """All answers for one image: a path, the bytes of a file, a PIL image, or uint8 [H, W, 3] RGB.

        Raises ImageError where it can't be read.
        """
        return self.predict([image])[0]

    def size_of(self, task: str) -> tuple[int, int]:
        """Height and width at which a task was scored: its sources' own where all have the same, else ``size``."""
        sizes = Sizes(self.size, self.config.train.scored_sizes)
        found = {sizes.of(str(source.name)) for source in self.config.sources if task in source.tasks}
        return found.pop() if len(found) == 1 else self.size

    @torch.inference_mode()
    def predict(self, images: Sequence[ImageLike], size: tuple[int, int] | None = None) -> list[Prediction]:
        """All answers for several images in one pass of the network; ``size``: height and width of its input, default
        ``self.size`` (see :meth:`size_of`)."""
        if not images:
            return []
        pictures = [to_rgb(image) for image in images]
        tensor, frames = self.framed(pictures, size)
        answers: list[dict[str, Annotation]] = [{} for _ in pictures]
        for name, of_task in Glance(self.network, self.tasks, tensor, frames).answers().items():
            for i, annotation in of_task.items():
                answers[i][name] = annotation
        return [Prediction(p, a, self.tasks) for p, a in zip(pictures, answers, strict=True)]

    def framed(
        self, pictures: Sequence[NDArray[np.uint8]], size: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Frame]]:
        """Images uint8 [h, w, 3] RGB as the network takes them, uint8 [B, 3, H, W], and how each lies there; ``size``:
        H and W, default ``self.size``."""
        size = self.size if size is None else size
        height, width = size
        frames = []
        inputs = np.empty((len(pictures), height, width, 3), np.uint8)
        for i, picture in enumerate(pictures):
            source = (picture.shape[1], picture.shape[0])
            frames.append(Frame(letterbox(source, size), width, height, *source))
            inputs[i] = warp_image(picture, frames[i].matrix, size, fill=FILL, source_wh=source)
        return torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous().to(self.device), frames

    def stream(
        self,
        images: Iterable[Path],
        batch: int = 16,
        problems: Problems | None = None,
        size: tuple[int, int] | None = None,
    ) -> Generator[tuple[Path, Prediction]]:
        """Answers for any number of image files, one by one, in their order; threads decode ahead of the network.

        A file that can't be read is noted in ``problems`` and passed over. At most three batches of images are held.
        """
        problems = problems if problems is not None else Problems()
        with closing(mapped(to_rgb, images, DECODERS, batch)) as decoded:
            for some in _batches(_readable(decoded, problems), batch):
                predictions = self.predict([picture for _, picture in some], size)
                yield from zip((path for path, _ in some), predictions, strict=True)

    def frames(
        self,
        source: str | Path | int | Film,
        batch: int = 16,
        *,
        every: int = 1,
        seconds: float | None = None,
        track: bool | TrackSettings = True,
        problems: Problems | None = None,
    ) -> Generator[tuple[Moment, Prediction]]:
        """Answers for the frames of a film, or of a camera until the loop is left; a thread decodes ahead.

        Memory does not grow with the film's length.

        Args:
            source: a file, the number of a camera (from 0), or a Film, which then says by itself what it gives.
            batch: frames at a time; fewer where they are large, and one of a camera.
            every: only each such frame.
            seconds: only the first so many.
            track: follow objects, so that ``Instance.track`` is a number that each keeps, and smooth points; False:
                every frame is answered as an image by itself would be.
            problems: gets to know of a film that ended before its time.

        Raises FilmError where there is no film, no camera, or not one frame.
        """
        film = source if isinstance(source, Film) else Film(source, every=every, seconds=seconds)
        batch = 1 if film.is_camera else max(1, min(batch, HELD // (3 * film.width * film.height)))
        settings = track if isinstance(track, TrackSettings) else TrackSettings()
        follower = Follower(settings) if track is not False else None
        with closing(in_background(iter(film), batch)) as read:
            for some in _batches(read, batch):
                predictions = self.predict([picture for _, picture in some])
                for (moment, picture), prediction in zip(some, predictions, strict=True):
                    if follower is not None:
                        size = (picture.shape[1], picture.shape[0])
                        answers = follower(prediction, moment.seconds, size)
                        prediction = Prediction(prediction.image, answers, self.tasks)
                    yield moment, prediction
        if film.trouble is not None and problems is not None:
            problems.add(film.name, film.trouble)


def _readable(
    decoded: Iterable[tuple[Path, Future[NDArray[np.uint8]]]], problems: Problems
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    for path, picture in decoded:
        try:
            yield path, picture.result()
        except ImageError as error:
            problems.add(path, bare(error, path))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def load(run: str | Path, weights: str = "auto", device: str = "auto") -> Model:
    """Load a trained run.

    Args:
        run: the run's folder, as ``oneglance train`` made it.
        weights: ``best`` (by the split `val`), ``last``, or ``auto``: best where there is one.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises OneglanceError where the folder is not a run, or its files do not fit each other.
    """
    folder = Path(run)
    if not (folder / "config.yaml").is_file():
        raise OneglanceError(f"{folder}: not a run (no config.yaml); give the folder that `oneglance train` wrote")
    config = read_config(folder)
    names = {"best": [BEST], "last": [LAST], "auto": [BEST, LAST]}.get(weights)
    if names is None:
        raise OneglanceError(f"weights {weights!r}: must be `auto`, `best` or `last`")
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        unfinished = (
            f"`oneglance train --resume {shlex.quote(str(folder))}` goes on with a training that was interrupted"
        )
        raise OneglanceError(f"{folder}: no {' or '.join(names)} yet: the training has not finished; {unfinished}")
    tensors, _ = checkpoint.load(found[0])
    tasks = create_tasks(config.tasks)
    trunk = config.trunk.model_copy(update={"pretrained": False})
    network = Network(tasks, trunk, config.sharing, sizes_in(tensors), config.train.scored_as)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise OneglanceError(f"{found[0]}: the weights do not fit {folder / 'config.yaml'} ({error})") from error
    return Model(network, tasks, config, device, found[0].name)
