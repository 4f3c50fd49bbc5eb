"""From images to annotations: what every task says, of the images and of the objects that were found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneglance.annotations import Annotation, Instances, changed
from oneglance.data.geometry import Frame, warp_boxes
from oneglance.data.regions import region_frame, shares
from oneglance.network.network import Network
from oneglance.tasks.base import Features, Outputs, Task

#: Objects that score less are not asked about further.
ASKED = 0.05
#: At most so many objects of an image are asked about: as many as COCO's evaluation looks at.
MOST = 100

#: By task, then by the image's place in the batch.
Answers = dict[str, dict[int, Annotation]]
#: Objects to be asked about: the place of the image in the batch, and the box in its original pixels.
Place = tuple[int, np.ndarray]


def mirrored(images: Tensor, content: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror images of inputs [n, 3, H, W], and where in them the images lie: boxes x1 y1 x2 y2, float [n, 4]."""
    left, top, right, bottom = content.unbind(1)
    width = images.shape[-1]
    return images.flip(-1), torch.stack([width - right, top, width - left, bottom], 1)


class Glance:
    """One look at a batch of images: the trunk runs once, whatever is asked afterwards.

    ``images`` uint8 [B, 3, H, W]; ``frames``: how each lies in its original; ``rows``: by task the images that it will
    be asked about, in ascending order; None: all tasks about all.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task[Any]],
        images: Tensor,
        frames: Sequence[Frame],
        rows: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.network, self.tasks, self.frames = network, tasks, frames
        self.device, self._images = images.device, images
        self._content = content = torch.tensor(
            [frame.content for frame in frames], dtype=torch.float32, device=images.device
        )
        asked = None if rows is None else {n: torch.tensor(at, device=images.device) for n, at in rows.items() if at}
        self.features: dict[str, Features] = network.features(images, content, rows=asked)

    def answers(self, rows: Mapping[str, Sequence[int]] | None = None) -> Answers:
        """What the tasks on images say, with what those on objects say of the objects found; of the images ``rows``
        (by task), or of all."""
        answers: Answers = {}
        for name, task in self.tasks.items():
            at = range(len(self.frames)) if rows is None else rows.get(name, ())
            if task.on_objects or not len(at):
                continue
            chosen = torch.tensor(list(at), device=self.device)
            outputs = self.network.ask(name, self.features[name].of(chosen))
            if task.mirrors:
                outputs = task.merged(outputs, self._of_mirrored(name, chosen))
            said = dict(zip(at, task.decode(outputs, [self.frames[i] for i in at]), strict=True))
            answers[name] = self._ask_on(task, said) if task.children else said
        return answers

    def _of_mirrored(self, name: str, chosen: Tensor) -> Outputs:
        """What a task's head says of these images' mirror images."""
        images, content = mirrored(self._images[chosen], self._content[chosen])
        every = torch.arange(len(chosen), device=self.device)
        features = self.network.features(images, content, rows={name: every})
        return self.network.ask(name, features[name].of(every))

    def of_objects(self, task: Task[Any], places: Sequence[Place | int]) -> list[Any]:
        """What a task on objects says of these; the number of an image alone: of the one object that it shows."""
        if not places:
            return []
        rows = [place if isinstance(place, int) else place[0] for place in places]
        boxes = [
            np.array(self.frames[place].content, np.float32) if isinstance(place, int)
            else warp_boxes(place[1], self.frames[place[0]].matrix)[0]
            for place in places
        ]  # fmt: skip
        return self._said(rows, boxes, (task,))[task.name]

    def _said(self, rows: Sequence[int], boxes: Sequence[np.ndarray], tasks: Sequence[Task[Any]]) -> dict[str, Any]:
        frames = [self.frames[i] for i in rows]
        parts = np.stack([shares(box, frame) for box, frame in zip(boxes, frames, strict=True)])
        outputs = self.network.of_objects(
            self.features[tasks[0].name],
            torch.tensor(rows, device=self.device),
            torch.from_numpy(parts).to(self.device),
            tuple(task.name for task in tasks),
        )
        seen = [region_frame(frame, box) for frame, box in zip(frames, boxes, strict=True)]
        return {task.name: task.decode(outputs[task.name], seen) for task in tasks}

    def _ask_on(self, task: Task[Any], said: Mapping[int, Annotation]) -> dict[int, Annotation]:
        """The objects of each image with the answers of the tasks on them."""
        children = [child for child in task.children if child.name in self.tasks]
        items = {i: list(objects.items) for i, objects in said.items() if isinstance(objects, Instances)}
        # Which tasks ask about an object decides with which others it is looked at: most often all ask the same.
        asked: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for i, found in items.items():
            order = sorted(range(len(found)), key=lambda k: -(found[k].score or 0.0))
            for k in [k for k in order if (found[k].score or 0.0) >= ASKED][:MOST]:
                names = tuple(child.name for child in children if child.asks_about(found[k]))
                if names:
                    asked.setdefault(names, []).append((i, k))
        for names, places in asked.items():
            tasks = [self.tasks[name] for name in names]
            boxes = [warp_boxes(np.asarray(items[i][k].box), self.frames[i].matrix)[0] for i, k in places]
            answers = self._said([i for i, _ in places], boxes, tasks)
            for one in tasks:
                for (i, k), answer in zip(places, answers[one.name], strict=True):
                    item = one.with_answer(items[i][k], answer)
                    items[i][k] = changed(item, {"answers": {**item.answers, one.name: answer}})
        return {i: Instances(tuple(found), said[i].annotated) for i, found in items.items()}  # type: ignore[union-attr]
