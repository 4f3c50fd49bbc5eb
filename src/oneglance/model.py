"""A trained network, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from oneglance.annotations import Annotation
from oneglance.config import Config, parse_config, read_yaml
from oneglance.data.dataset import FILL
from oneglance.data.geometry import Frame, letterbox, warp_image
from oneglance.decode import ImageError, to_rgb
from oneglance.drawing import draw
from oneglance.errors import OneglanceError, Problems
from oneglance.network.network import Network
from oneglance.tasks import create_tasks
from oneglance.tasks.base import Task
from oneglance.training import checkpoint
from oneglance.training.fit import BEST, LAST

ImageLike = str | Path | bytes | np.ndarray | Image.Image


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
        answers = {name: self._answers[name] for name in asked}
        return Image.fromarray(draw(self.image, answers, asked, min_score=min_score))


class Model:
    """A trained network with its tasks. Call it with an image, or with several.

    ``weights``: the name of the file that they were read from; empty where they come from elsewhere.
    """

    def __init__(
        self, network: Network, tasks: Mapping[str, Task[Any]], config: Config, device: str = "auto", weights: str = ""
    ) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.tasks, self.config = dict(tasks), config
        self.weights = weights
        self.size = config.train.eval_size or config.train.size

    def __call__(self, image: ImageLike) -> Prediction:
        """All answers for one image: a path, the bytes of a file, a PIL image, or uint8 [H, W, 3] RGB.

        Raises ImageError where it can't be read.
        """
        return self.predict([image])[0]

    @torch.inference_mode()
    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """All answers for several images in one pass of the network."""
        if not images:
            return []
        pictures = [to_rgb(image) for image in images]
        height, width = self.size
        frames = []
        inputs = np.empty((len(pictures), height, width, 3), np.uint8)
        for i, picture in enumerate(pictures):
            source = (picture.shape[1], picture.shape[0])
            frames.append(Frame(letterbox(source, self.size), width, height, *source))
            inputs[i] = warp_image(picture, frames[i].matrix, self.size, fill=FILL, source_wh=source)
        tensor = torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous().to(self.device)
        outputs = self.network(tensor)
        answers: list[dict[str, Annotation]] = [{} for _ in pictures]
        for name, of_task in outputs.items():
            for i, annotation in enumerate(self.tasks[name].decode(of_task, frames)):
                answers[i][name] = annotation
        return [Prediction(p, a, self.tasks) for p, a in zip(pictures, answers, strict=True)]

    def stream(
        self, images: Iterable[Path], batch: int = 16, problems: Problems | None = None
    ) -> Iterator[tuple[Path, Prediction]]:
        """Answers for any number of image files, one by one; a file that can't be read is noted and passed over."""
        waiting: list[tuple[Path, np.ndarray]] = []
        problems = problems if problems is not None else Problems()

        def flush() -> Iterator[tuple[Path, Prediction]]:
            for (path, _), prediction in zip(waiting, self.predict([p for _, p in waiting]), strict=True):
                yield path, prediction
            waiting.clear()

        for path in images:
            try:
                waiting.append((path, to_rgb(path)))
            except ImageError as error:
                problems.add(path, str(error))
                continue
            if len(waiting) == batch:
                yield from flush()
        yield from flush()


def load(run: str | Path, weights: str = "auto", device: str = "auto") -> Model:
    """Load a trained run.

    Args:
        run: the run's folder, as ``oneglance train`` made it.
        weights: ``best`` (by the split `val`), ``last``, or ``auto``: best where there is one.
        device: ``auto``, ``cpu``, ``cuda``.

    Raises OneglanceError where the folder is not a run, or its files do not fit each other.
    """
    folder = Path(run)
    if not (folder / "config.yaml").is_file():
        raise OneglanceError(f"{folder}: not a run (no config.yaml); give the folder that `oneglance train` wrote")
    config = parse_config(read_yaml(folder / "config.yaml"), str(folder / "config.yaml"))
    names = {"best": [BEST], "last": [LAST], "auto": [BEST, LAST]}.get(weights)
    if names is None:
        raise OneglanceError(f"weights {weights!r}: must be `auto`, `best` or `last`")
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise OneglanceError(f"{folder}: no {' or '.join(names)} yet; has the training finished? (`--resume` goes on)")
    tensors, _ = checkpoint.load(found[0])
    tasks = create_tasks(config.tasks)
    trunk = config.trunk.model_copy(update={"pretrained": False})
    network = Network(tasks, trunk)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise OneglanceError(f"{found[0]}: the weights do not fit {folder / 'config.yaml'} ({error})") from error
    return Model(network, tasks, config, device, found[0].name)
