"""Train an Ultralytics detector from scratch on BCCD and score it: the detection bar to reach.

Ultralytics (AGPL-3.0) runs here as a benchmark peer only, in an environment of its own; the package never
imports it. Its own recipe is left as it is (augmentation, optimiser, schedule); only the data, the size, the
number of epochs and the seed are given. `train.txt` trains, `val.txt` chooses `best.pt`, `test.txt` is scored
once at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

CLASSES = ("RBC", "WBC", "Platelets")
SPLITS = ("train", "val", "test")
Box = tuple[int, float, float, float, float]
"""Class, then x1, y1, x2, y2 in pixels: 0-based, the right and lower edges exclusive."""


def read_voc(path: Path) -> tuple[int, int, list[Box]]:
    """Width, height and boxes of one VOC file; boxes of zero size (two slips in BCCD) are dropped."""
    root = ElementTree.parse(path).getroot()
    boxes: list[Box] = []
    for item in root.iter("object"):
        x1, y1, x2, y2 = (int(item.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax"))
        if x2 > x1 and y2 > y1:  # VOC is 1-based and inclusive, hence the -1 on the first corner only
            boxes.append((CLASSES.index(item.findtext("name", "")), x1 - 1, y1 - 1, x2, y2))
    return int(root.findtext("size/width", "")), int(root.findtext("size/height", "")), boxes


def convert(data: Path, out: Path, limit: int | None) -> tuple[Path, dict[str, Any]]:
    """Write YOLO's layout (images are links); return its yaml and the test split as COCO ground truth."""
    truth: dict[str, Any] = {"info": {}, "images": [], "annotations": []}
    truth["categories"] = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    for split in SPLITS:
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
        (out / "labels" / split).mkdir(parents=True, exist_ok=True)
        for number, stem in enumerate((data / "ImageSets/Main" / f"{split}.txt").read_text().split()[:limit]):
            width, height, boxes = read_voc(data / "Annotations" / f"{stem}.xml")
            link = out / "images" / split / f"{stem}.jpg"
            link.unlink(missing_ok=True)
            link.symlink_to((data / "JPEGImages" / f"{stem}.jpg").resolve())
            lines = [
                f"{k} {(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f} "
                f"{(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}\n"
                for k, x1, y1, x2, y2 in boxes
            ]
            (out / "labels" / split / f"{stem}.txt").write_text("".join(lines))
            if split != "test":
                continue
            truth["images"].append({"id": number, "file_name": str(link), "width": width, "height": height})
            for k, x1, y1, x2, y2 in boxes:
                truth["annotations"].append(
                    {
                        "id": len(truth["annotations"]) + 1,
                        "image_id": number,
                        "category_id": k,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": 0,
                    }
                )
    names = "".join(f"  {k}: {name}\n" for k, name in enumerate(CLASSES))
    config = out / "bccd.yaml"
    folders = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    config.write_text(f"path: {out}\n{folders}names:\n{names}")
    return config, truth


def coco_scores(model: Any, truth: dict[str, Any], size: int) -> dict[str, float]:
    """COCO scores by faster-coco-eval of predictions in the pixels of the original images.

    COCO's own limit of 100 boxes per image applies (no image of the test split has more than 24 objects).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    found: list[dict[str, Any]] = []
    for image in truth["images"]:
        result = model.predict(
            image["file_name"], imgsz=size, conf=0.001, iou=0.7, max_det=300, device="cpu", verbose=False
        )[0]
        for (x1, y1, x2, y2), score, k in zip(
            result.boxes.xyxy.tolist(), result.boxes.conf.tolist(), result.boxes.cls.tolist(), strict=True
        ):
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": int(k),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    if not found:
        return {}
    real = COCO(truth)
    names = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")

    def run(classes: list[int] | None) -> Any:
        evaluation = COCOeval_faster(real, real.loadRes(found), "bbox")
        if classes is not None:
            evaluation.params.catIds = classes
        evaluation.run()
        return evaluation.stats

    scores = {name: round(float(value), 5) for name, value in zip(names, run(None)[:6], strict=True)}
    for k, name in enumerate(CLASSES):
        scores[f"map50_95_{name}"] = round(float(run([k])[0]), 5)
    return scores


def own_scores(model: Any, config: Path, size: int, batch: int, runs: Path) -> dict[str, float]:
    """Scores of the same split by Ultralytics' own validation."""
    box = model.val(
        data=str(config),
        split="test",
        imgsz=size,
        batch=batch,
        device="cpu",
        workers=1,
        plots=False,
        verbose=False,
        project=str(runs),
        name="val",
        exist_ok=True,
    ).box
    return {"map50_95": round(float(box.map), 5), "map50": round(float(box.map50), 5)}


def main() -> None:
    """Convert, train, score both checkpoints and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bccd"))
    parser.add_argument("--model", default="yolo26n.yaml", help="an architecture's yaml, never weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=None, help="images of each split, for a dry run")
    parser.add_argument("--out", type=Path, default=Path("../bench_out/ultralytics_bccd"))
    args = parser.parse_args()
    if not args.model.endswith(".yaml"):
        parser.error("--model takes a yaml: the comparison is from scratch")

    data, out = args.data.resolve(), args.out.resolve()
    name = f"{Path(args.model).stem}_{args.seed}"
    runs = out / "runs"
    for folder in (out, runs):
        folder.mkdir(parents=True, exist_ok=True)
    # Before the import: no download, no automatic installation, settings kept out of the home folder.
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(out))
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    os.chdir(runs)

    import torch
    from ultralytics import YOLO

    torch.set_num_threads(args.threads)
    config, truth = convert(data, out / ("data" if args.limit is None else "data_dry"), args.limit)
    model = YOLO(args.model)
    start = time.perf_counter()
    model.train(
        data=str(config),
        epochs=args.epochs,
        batch=args.batch,
        imgsz=args.size,
        seed=args.seed,
        pretrained=False,
        deterministic=True,
        device="cpu",
        workers=1,
        amp=False,
        plots=False,
        project=str(runs),
        name=name,
        exist_ok=True,
    )
    seconds = time.perf_counter() - start

    result: dict[str, Any] = {
        "peer": "ultralytics",
        "model": args.model,
        "seed": args.seed,
        "epochs": args.epochs,
        "batch": args.batch,
        "size": args.size,
        "images": {split: len(list((config.parent / "images" / split).iterdir())) for split in SPLITS},
        "train_seconds": round(seconds, 1),
    }
    for kind in ("last", "best"):
        checkpoint = runs / name / "weights" / f"{kind}.pt"
        trained = YOLO(checkpoint)
        # Counted before validation fuses the layers.
        result["params"] = sum(p.numel() for p in trained.model.parameters())
        result[kind] = {
            "coco": coco_scores(trained, truth, args.size),
            "own": own_scores(YOLO(checkpoint), config, args.size, args.batch, runs),
        }
    result["versions"] = {
        package: version(package) for package in ("ultralytics", "torch", "torchvision", "faster-coco-eval")
    } | {"python": platform.python_version()}
    (out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
