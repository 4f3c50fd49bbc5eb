"""torchvision's Mask R-CNN and Keypoint R-CNN on the COCO subset, for a given time each.

The backbone is timm's `mobilenetv2_100` with the same ImageNet weights, under torchvision's own feature pyramid, as
wide as oneglance's (with its ordinary 256 channels, half as many steps are made in the time), and its heads; BatchNorm
keeps its statistics, as the weights ask for. Mask R-CNN learns the boxes and masks of 80 classes, Keypoint R-CNN the
boxes and points of people, each from all images that are labelled for it. The learning rate ends with the time. Scored
on coco_mini's val2017 by COCO's rules.

    python torchvision_coco.py --bf16 --seconds 1044 --out ../results/torchvision_coco
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as rle
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.detection import KeypointRCNN, MaskRCNN
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

#: COCO's left and right points change places in a mirror.
MIRRORED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


class Backbone(nn.Module):
    """The trunk at strides 4 to 32 with torchvision's pyramid."""

    def __init__(self, weights: Path, width: int) -> None:
        super().__init__()
        self.body = timm.create_model(
            "mobilenetv2_100", features_only=True, pretrained=False, pad_type="same", out_indices=(1, 2, 3, 4)
        )
        state = {key.replace(".", "_", 1): value for key, value in load_file(weights).items()}
        own = self.body.state_dict()
        named = {k: v for s in (load_file(weights), state) for k, v in s.items() if k in own}
        missing = [k for k in own if k not in named and not k.endswith("num_batches_tracked")]
        assert not missing, missing
        self.body.load_state_dict(named, strict=False)
        self.pyramid = FeaturePyramidNetwork(self.body.feature_info.channels(), width, LastLevelMaxPool())
        self.out_channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.pyramid({str(k): one for k, one in enumerate(self.body(images))})

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


Example = dict[str, Any]


def from_coco(data: Path, split: str, points: bool) -> list[Example]:
    """coco_mini's images of a split that are labelled, with boxes, classes, and masks or points."""
    kind = "person_keypoints" if points else "instances"
    coco = COCO(str(data / f"coco_mini/annotations/{kind}_{split}.json"))
    examples = []
    for number in coco.getImgIds():
        info = coco.loadImgs([number])[0]
        items = [a for a in coco.loadAnns(coco.getAnnIds(imgIds=[number])) if not a["iscrowd"]]
        items = [a for a in items if a["bbox"][2] >= 1 and a["bbox"][3] >= 1]
        if points:
            items = [a for a in items if a["num_keypoints"]]
        boxes = np.array([a["bbox"] for a in items], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        target = {"boxes": torch.from_numpy(boxes), "labels": torch.tensor([a["category_id"] for a in items]).long()}
        if points:
            target["keypoints"] = torch.tensor([a["keypoints"] for a in items]).float().reshape(-1, 17, 3)
            target["labels"] = torch.ones(len(items)).long()
        else:
            masks = [coco.annToMask(a) for a in items] or [np.zeros((info["height"], info["width"]), np.uint8)][:0]
            target["masks"] = torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, 1, 1).byte()
        examples.append({"path": data / "coco_mini" / split / info["file_name"], "id": number, "target": target})
    return examples


def from_polygons(data: Path) -> list[Example]:
    """coco128's train2017 with instance polygons (YOLO's text files; the numbers are COCO's own categories)."""
    examples = []
    for labels in sorted((data / "coco128/instance_segmentation/labels/train2017").glob("*.txt")):
        path = data / "coco128/images/train2017" / f"{labels.stem}.jpg"
        width, height = Image.open(path).size
        boxes, classes, masks = [], [], []
        for line in labels.read_text().splitlines():
            number, *flat = line.split()
            xy = np.array(flat, np.float32).reshape(-1, 2) * (width, height)
            low, high = xy.min(0), xy.max(0)
            if (high - low).min() < 1:
                continue
            drawn = Image.new("L", (width, height))
            ImageDraw.Draw(drawn).polygon([tuple(point) for point in xy.tolist()], fill=1)
            boxes.append([*low, *high])
            classes.append(int(number))
            masks.append(np.array(drawn))
        if boxes:
            target = {
                "boxes": torch.tensor(np.array(boxes)).float(), "labels": torch.tensor(classes).long(),
                "masks": torch.from_numpy(np.stack(masks)),
            }  # fmt: skip
            examples.append({"path": path, "id": None, "target": target})
    return examples


def load(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).float() / 255


def example_of(one: Example) -> tuple[Tensor, dict[str, Tensor]]:
    """An image with its target, mirrored every other time."""
    image, target = load(one["path"]), {k: v.clone() for k, v in one["target"].items()}
    if torch.rand(()) < 0.5:
        width = image.shape[-1]
        image = image.flip(-1)
        target["boxes"] = target["boxes"][:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1]) + torch.tensor(
            [width, 0, width, 0]
        )
        if "masks" in target:
            target["masks"] = target["masks"].flip(-1)
        if "keypoints" in target:
            points = target["keypoints"][:, MIRRORED]
            points[..., 0] = torch.where(points[..., 2] > 0, width - points[..., 0], points[..., 0])
            target["keypoints"] = points
    return image, target


def train(
    model: nn.Module, examples: list[Example], seconds: float, batch: int, lr: float, seed: int, bf16: bool
) -> tuple[int, int]:
    """Train for so many seconds; returns the steps made, and how many of them were passed over: not finite."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    body = {id(p) for p in model.backbone.body.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) in body], "base": 0.2 * lr},
        {"params": [p for p in model.parameters() if id(p) not in body], "base": lr},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.02)
    model.train()
    began, steps, passed_over, order = time.monotonic(), 0, 0, np.empty(0, int)
    while (gone := time.monotonic() - began) < seconds:
        if len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(examples))])
        drawn, order = order[:batch], order[batch:]
        images, targets = zip(*(example_of(examples[k]) for k in drawn), strict=True)
        factor = min((steps + 1) / 20, 0.5 * (1 + math.cos(math.pi * gone / seconds)))
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = sum(model(list(images), list(targets)).values())
        steps += 1
        if not torch.isfinite(loss):
            passed_over += 1
            continue
        loss.backward()
        if torch.isfinite(nn.utils.clip_grad_norm_(model.parameters(), 10.0)):
            optimizer.step()
        else:
            passed_over += 1
        if steps % 20 == 0:
            print(f"step {steps}  {gone:.0f} s  loss {loss.item():.3f}", flush=True)
    return steps, passed_over


@torch.inference_mode()
def score(model: nn.Module, data: Path, points: bool) -> dict[str, dict[str, float]]:
    """COCO's figures on val2017, of boxes and of masks or points."""
    model.eval()
    kind = "person_keypoints" if points else "instances"
    truth = COCO(str(data / f"coco_mini/annotations/{kind}_val2017.json"))
    found: dict[str, list[dict[str, Any]]] = {"bbox": [], "keypoints" if points else "segm": []}
    for number in truth.getImgIds():
        info = truth.loadImgs([number])[0]
        (out,) = model([load(data / "coco_mini/val2017" / info["file_name"])])
        for k in range(len(out["boxes"])):
            x1, y1, x2, y2 = out["boxes"][k].tolist()
            common = {"image_id": number, "category_id": int(out["labels"][k]), "score": float(out["scores"][k])}
            found["bbox"].append({**common, "bbox": [x1, y1, x2 - x1, y2 - y1]})
            if points:
                found["keypoints"].append({**common, "keypoints": out["keypoints"][k].flatten().tolist()})
            else:
                mask = np.asfortranarray((out["masks"][k, 0] >= 0.5).numpy().astype(np.uint8))
                found["segm"].append({**common, "segmentation": rle.encode(mask)})
    scores = {}
    for name, results in found.items():
        if not results:
            scores[name] = {"map": 0.0, "map50": 0.0, "map75": 0.0}
            continue
        evaluated = COCOeval_faster(truth, truth.loadRes(results), name)
        evaluated.run()
        scores[name] = dict(zip(("map", "map50", "map75"), map(float, evaluated.stats[:3]), strict=True))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../../../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("results/torchvision_coco"))
    parser.add_argument("--seconds", type=float, default=900, help="training time of each of the two networks")
    parser.add_argument("--size", type=int, default=320, help="longest side of the input")
    parser.add_argument("--width", type=int, default=96, help="channels of the pyramid")
    parser.add_argument("--batch", type=int, default=2, help="small: few steps are made in the time")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--bf16", action="store_true", help="compute in bf16 in training, as oneglance does if it can")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    weights = options.data / "weights/mobilenetv2_100_imagenet.safetensors"
    found: dict[str, Any] = {
        "options": {k: str(v) for k, v in vars(options).items()},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    for points in (False, True):
        torch.manual_seed(options.seed)
        common = {
            "min_size": options.size, "max_size": options.size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        }  # fmt: skip
        backbone = Backbone(weights, options.width)
        if points:
            model: nn.Module = KeypointRCNN(backbone, num_classes=2, num_keypoints=17, **common)
        else:
            model = MaskRCNN(backbone, num_classes=91, **common)
        examples = from_coco(options.data, "train2017", points)
        examples += [] if points else from_polygons(options.data)
        examples = [one for one in examples if len(one["target"]["boxes"])]
        steps, passed_over = train(
            model, examples, options.seconds, options.batch, options.lr, options.seed, options.bf16
        )
        began = time.monotonic()
        found["keypoint_rcnn" if points else "mask_rcnn"] = {
            "scores": score(model, options.data, points),
            "images": len(examples),
            "steps": steps,
            "passed_over": passed_over,
            "seconds": options.seconds,
            "scoring_seconds": round(time.monotonic() - began, 1),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        print(json.dumps(found, indent=1), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"seed_{options.seed}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
