"""Where in an image an answer comes from: an answer is one number (see :class:`oneglance.tasks.base.Statement`), and
each method says how much each place has to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from oneglance.annotations import Instances
from oneglance.data.dataset import FILL
from oneglance.data.geometry import Frame, warp_boxes
from oneglance.data.regions import shares
from oneglance.errors import OneglanceError
from oneglance.model import Model
from oneglance.network.answer import ASKED
from oneglance.network.network import Network
from oneglance.tasks.base import Features, Outputs, Statement, Task

Method = Literal["gradcam", "hirescam", "integrated"]
At = Literal["deep", "pyramid"]
Heat = NDArray[np.float32]
#: Steps of the path of integrated gradients, and how many go through the network at a time.
STEPS, TOGETHER = 32, 8
#: Attributions to single pixels are averaged over squares of so many: what a cell of the finest map looks at.
SQUARE = 8


@dataclass(frozen=True)
class Question:
    """An answer of a task to be traced: ``boxes`` float [1, 4], of a task on objects the object in shares of the input;
    ``box``: of the object that it is about in input pixels."""

    task: Task[Any]
    statement: Statement
    boxes: Tensor | None
    box: np.ndarray | None

    @property
    def text(self) -> str:
        """The task and what it says."""
        return f"{self.task.name}: {self.statement.text}"


class View:
    """One image before a trained network: ``image`` float [1, 3, H, W] in 0..255, ``frame``: how it lies there."""

    def __init__(self, model: Model, picture: NDArray[np.uint8]) -> None:
        self.model, self.picture = model, picture
        images, (self.frame,) = model.framed([picture])
        self.image = images.float()
        self.empty = self.image.new_tensor(FILL).view(1, 3, 1, 1).expand_as(self.image).contiguous()
        self.content = torch.tensor([self.frame.content], dtype=torch.float32, device=model.device)
        self._answers: Any = None

    def ask(self, task: Task[Any], about: str | None = None, number: int = 1) -> Question | None:
        """What a task says of the image, or of one of its objects, to be traced; None where it says nothing.

        ``about``: a class, tag, point or target; None: what it says most strongly. ``number``: which object, from 1,
        the surest first. Raises OneglanceError where ``about`` is none of the task's names.
        """
        boxes, box, found = None, None, ""
        if task.on_objects:
            items = self._objects(task)
            if len(items) < number:
                return None
            item = items[number - 1]
            box = warp_boxes(np.asarray(item.box)[None], self.frame.matrix)[0]
            boxes = torch.from_numpy(shares(box, self.frame))[None].to(self.model.device)
            found = f"{item.label} {number}, "
        with torch.no_grad():
            outputs, empty = (
                self._outputs(self.model.network, task, boxes, one)[0] for one in (self.image, self.empty)
            )
            statement = task.statement(outputs, empty, about, number)
        if statement is None:
            return None
        if found:
            statement = Statement(found + statement.text, statement.score)
        return Question(task, statement, boxes, box if statement.box is None else statement.box)

    def _objects(self, task: Task[Any]) -> list[Any]:
        if self._answers is None:
            self._answers = self.model(self.picture)
        said = self._answers[task.settings.parent]
        items = said.items if isinstance(said, Instances) else ()
        able = [one for one in items if task.asks_about(one) and (one.score or 0.0) >= ASKED]
        return sorted(able, key=lambda one: -(one.score or 0.0))

    def _outputs(
        self, network: Network, task: Task[Any], boxes: Tensor | None, images: Tensor
    ) -> tuple[Outputs, Features]:
        many = len(images)
        features = network.features(images, self.content.expand(many, -1))[task.name]
        if boxes is None:
            return network.ask(task.name, features), features
        rows = torch.arange(many, device=images.device)
        return network.of_objects(features, rows, boxes.expand(many, -1), (task.name,))[task.name], features

    def score(self, question: Question, images: Tensor, network: Network | None = None) -> tuple[Tensor, Features]:
        """How strongly the network says it of images float [n, 3, H, W], float [n], and what it saw."""
        outputs, features = self._outputs(network or self.model.network, question.task, question.boxes, images)
        return question.statement.score(outputs).float(), features

    def heat(
        self, question: Question, method: Method = "gradcam", at: At = "deep", network: Network | None = None
    ) -> Heat:
        """How much each place of the input has to do with it, float32 [H, W], 0 where nothing; in no unit.

        ``gradcam``: channels of a map, weighted by the mean gradient of the statement to them, summed, what is negative
        taken as 0 (Selvaraju et al. 2017). ``hirescam``: weighted place by place (Draelos & Carin 2020), which stays
        with one object where there are several alike. ``at``: the backbone's last map, or the levels of the pyramid,
        added. ``integrated``: integrated gradients (Sundararajan et al. 2017) from a grey image, by pixels, without
        their sign, averaged over squares of 8 pixels. ``network``: in place of the model's own.
        """
        if method == "integrated":
            return self.integrated(question, network)[0]
        image = self.image.clone().requires_grad_(True)
        with torch.enable_grad():
            score, features = self.score(question, image, network)
            maps = [features.deep] if at == "deep" else [features.level(stride) for stride in features.strides]
            slopes = torch.autograd.grad(score.sum(), maps, allow_unused=True)
        heat = image.new_zeros(image.shape[-2:])
        for values, slope in zip(maps, slopes, strict=True):
            if slope is None:
                continue
            weights = slope.mean((2, 3), keepdim=True) if method == "gradcam" else slope
            one = (weights * values).sum(1, keepdim=True).relu().detach().float()
            heat += F.interpolate(one, image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
        return heat.cpu().numpy()

    def integrated(self, question: Question, network: Network | None = None) -> tuple[Heat, float]:
        """Heat by integrated gradients, float32 [H, W], and by how much all pixels together miss the difference of the
        statement to that of an empty image, as a share of it: small where the steps are enough."""
        from captum.attr import IntegratedGradients

        image = self.image.clone()
        found, missed = IntegratedGradients(lambda images: self.score(question, images, network)[0]).attribute(
            image, self.empty, n_steps=STEPS, internal_batch_size=TOGETHER, return_convergence_delta=True
        )
        with torch.no_grad():
            whole = [float(self.score(question, one, network)[0]) for one in (image, self.empty)]
        each = found.detach().sum(1, keepdim=True).abs().float()
        cells = F.avg_pool2d(each, SQUARE)
        heat = F.interpolate(cells, image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
        return heat.cpu().numpy(), abs(float(missed)) / max(abs(whole[0] - whole[1]), 1e-12)


def in_content(heat: Heat, frame: Frame, size_hw: tuple[int, int]) -> Heat:
    """The part of a heat map over the input that shows the image, fitted into a height and width."""
    x1, y1, x2, y2 = (round(one) for one in frame.content)
    part = heat[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    smaller = part.shape[0] >= size_hw[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size_hw[::-1], interpolation=way), np.float32)


def need_captum(method: Method) -> None:
    """Raises OneglanceError, with the way to get it, where a method needs Captum and it is not installed."""
    if method != "integrated":
        return
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise OneglanceError(
            "integrated gradients need captum, which is not installed: pip install 'oneglance[explain]', or take "
            "--method gradcam"
        ) from error
