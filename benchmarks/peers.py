"""Other tools' ways to classify a folder of images, for batch.py; runs in an environment of their own.

    python benchmarks/peers.py timm|timm-bf16|ultralytics FOLDER OUTPUT

`pip install torch timm` or `pip install ultralytics` there, not in the project's environment. The networks have random
weights: a wrong answer takes as long as a right one, and nothing is downloaded.
"""

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

BATCH_SIZE = 32
Answer = tuple[str, int]


def by_timm(folder: Path, *, bfloat16: bool) -> Iterator[Answer]:
    """Timm's dataset and loader with a process a core, and the network of the demo."""
    import timm
    import torch
    from timm.data import create_loader, resolve_data_config
    from torch.utils.data import Dataset
    from torchvision.datasets.folder import default_loader

    class Images(Dataset):  # type: ignore[misc,type-arg]
        transform = None  # the loader sets it

        def __init__(self) -> None:
            self.files = sorted(folder.iterdir())

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, number: int) -> tuple[object, int]:
            return self.transform(default_loader(str(self.files[number]))), number  # type: ignore[misc]

    model = timm.create_model("tf_efficientnet_lite0", num_classes=2).eval()
    wanted = resolve_data_config({}, model=model)
    loader = create_loader(
        Images(), wanted["input_size"], BATCH_SIZE, is_training=False, use_prefetcher=False, crop_pct=1.0,
        interpolation=wanted["interpolation"], mean=wanted["mean"], std=wanted["std"], num_workers=os.cpu_count() or 1,
    )  # fmt: skip
    names = [str(file) for file in sorted(folder.iterdir())]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for pixels, numbers in loader:
            for number, answer in zip(numbers, model(pixels).argmax(1), strict=True):
                yield names[int(number)], int(answer)


def by_ultralytics(folder: Path) -> Iterator[Answer]:
    """Ultralytics' smallest classifier."""
    from ultralytics import YOLO

    for found in YOLO("yolo11n-cls.yaml").predict(folder, stream=True, imgsz=224, batch=BATCH_SIZE, verbose=False):
        yield found.path, found.probs.top1


if __name__ == "__main__":
    _, way, given, output = sys.argv
    answers = by_ultralytics(Path(given)) if way == "ultralytics" else by_timm(Path(given), bfloat16="bf16" in way)
    with Path(output).open("w", newline="") as out:
        csv.writer(out).writerows(answers)
