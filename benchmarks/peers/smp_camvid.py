"""Fine-tune segmentation-models-pytorch's FPN on the CamVid subset and score it: a bar to reach.

The encoder is timm's `mobilenetv2_100` as smp wraps it, built with `pad_type="same"` because the ImageNet
weights at hand were trained so; its BatchNorm keeps its pretrained statistics, which those weights ask for.
The last epoch is scored: no best epoch is chosen on the split that is scored.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

CLASSES: tuple[str, ...] = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")
CLASSES += ("car", "pedestrian", "bicyclist")
VOID = len(CLASSES)
STRIDE = 32
HEAD = ("conv_head.", "bn2.", "classifier.")
"""Parts of the classifier after the last feature map: the only weights that an encoder may leave unused."""


def load_split(data: Path, split: str) -> list[tuple[Tensor, Tensor]]:
    """All images (uint8, 3xHxW) and label maps (int64, HxW) of a split; small enough to be kept in memory."""
    pairs = []
    for path in sorted((data / split).iterdir()):
        image = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).contiguous()
        label = torch.from_numpy(np.array(Image.open(data / f"{split}annot" / f"{path.stem}.png"))).long()
        assert image.shape[1:] == label.shape, path
        assert int(label.max()) <= VOID, path
        pairs.append((image, label))
    return pairs


def normalise(image: Tensor) -> Tensor:
    """Bytes to [-1, 1]: the weights' mean and standard deviation are 0.5 for all channels."""
    return image.float() / 127.5 - 1


def augment(image: Tensor, label: Tensor, size: int, jitter: nn.Module) -> tuple[Tensor, Tensor]:
    """One training crop: random scale, crop (padded with mid-grey and void), flip, light colour jitter."""
    scale = 0.75 + 0.75 * float(torch.rand(()))
    new = [round(side * scale) for side in label.shape]
    image = v2.functional.resize(image, new, antialias=True)
    label = F.interpolate(label[None, None].float(), new, mode="nearest-exact")[0, 0].long()
    pad = [0, max(0, size - new[1]), 0, max(0, size - new[0])]
    image, label = F.pad(jitter(image), pad, value=127), F.pad(label, pad, value=VOID)
    top, left = (int(torch.randint(side - size + 1, ())) for side in label.shape)
    image, label = (x[..., top : top + size, left : left + size] for x in (image, label))
    if torch.rand(()) < 0.5:
        image, label = image.flip(-1), label.flip(-1)
    return normalise(image), label


def build(weights: Path) -> nn.Module:
    """FPN over the pretrained encoder; fails unless all its keys are filled and 'same' padding is real."""
    model = smp.FPN("tu-mobilenetv2_100", encoder_weights=None, classes=len(CLASSES), pad_type="same")
    body = model.encoder.model
    missing, unexpected = body.load_state_dict(load_file(weights), strict=False)
    assert not missing, missing
    assert all(key.startswith(HEAD) for key in unexpected), unexpected
    strided = [m for m in body.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 5, strided
    assert all(isinstance(m, Conv2dSame) for m in strided), strided
    return model


def set_train(model: nn.Module) -> None:
    """Training mode, with the statistics of the encoder's BatchNorm left as they were pretrained."""
    model.train()
    for module in model.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.inference_mode()
def evaluate(model: nn.Module, pairs: list[tuple[Tensor, Tensor]], device: str) -> tuple[float, dict[str, float]]:
    """Score a split at full resolution: mIoU and each class's IoU from one confusion matrix, void dropped."""
    model.eval()
    matrix = torch.zeros(VOID, VOID, dtype=torch.long)
    for image, label in pairs:
        height, width = label.shape
        padded = F.pad(normalise(image), (0, -width % STRIDE, 0, -height % STRIDE))
        guess = model(padded[None].to(device))[0, :, :height, :width].argmax(0).cpu()
        known = label != VOID
        matrix += torch.bincount(label[known] * VOID + guess[known], minlength=VOID**2).view(VOID, VOID)
    hit = matrix.diag().double()
    iou = hit / (matrix.sum(0) + matrix.sum(1) - hit)
    return round(float(iou.mean()), 5), {k: round(float(v), 5) for k, v in zip(CLASSES, iou, strict=True)}


def main() -> None:
    """Train, score the last epoch and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/camvid"))
    parser.add_argument(
        "--weights", type=Path, default=Path("../shared/data/weights/mobilenetv2_100_imagenet.safetensors")
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=320, help="side of the training crops")
    parser.add_argument("--lr", type=float, default=1e-3, help="of the decoder and the head")
    parser.add_argument("--encoder-lr", type=float, default=5e-4)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--warmup", type=int, default=1, help="epochs of linear warm-up before the cosine")
    parser.add_argument("--every", type=int, default=10, help="epochs between scores (0: the last only)")
    parser.add_argument("--limit", type=int, default=None, help="images of each split, for a dry run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("../bench_out/smp_camvid"))
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train, val = (load_split(args.data, split)[: args.limit] for split in ("train", "val"))
    model = build(args.weights).to(args.device)
    rest = [p for name, p in model.named_parameters() if not name.startswith("encoder.")]
    optimiser = torch.optim.AdamW(
        [{"params": model.encoder.parameters(), "lr": args.encoder_lr}, {"params": rest, "lr": args.lr}],
        weight_decay=args.weight_decay,
    )
    steps = len(train) // args.batch
    warm, total = args.warmup * steps, args.epochs * steps

    def factor(step: int) -> float:
        """Share of the learning rate at a step: linear up, then a cosine down to zero."""
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    jitter = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    history: dict[int, float] = {}
    seconds = 0.0
    score = math.nan
    classes: dict[str, float] = {}
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        set_train(model)
        losses = []
        for chunk in torch.randperm(len(train))[: steps * args.batch].view(steps, args.batch).tolist():
            crops = [augment(*train[k], args.size, jitter) for k in chunk]
            images, labels = (torch.stack(x).to(args.device) for x in zip(*crops, strict=True))
            loss = F.cross_entropy(model(images), labels, ignore_index=VOID)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        seconds += time.perf_counter() - start
        line = f"epoch {epoch}/{args.epochs} loss {np.mean(losses):.4f} train {seconds:.0f} s"
        if epoch == args.epochs or (args.every and epoch % args.every == 0):
            score, classes = evaluate(model, val, args.device)
            history[epoch] = score
            line += f" mIoU {score:.4f}"
        print(line, flush=True)

    packages = ("segmentation-models-pytorch", "timm", "torch", "torchvision")
    result: dict[str, Any] = {
        "peer": "segmentation-models-pytorch",
        "model": "FPN, tu-mobilenetv2_100, pad_type=same, frozen encoder BatchNorm statistics",
        "seed": args.seed,
        "miou": score,
        "iou": classes,
        "history": history,
        "images": {"train": len(train), "val": len(val)},
        "params": sum(p.numel() for p in model.parameters()),
        "train_seconds": round(seconds, 1),
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"seed_{args.seed}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
