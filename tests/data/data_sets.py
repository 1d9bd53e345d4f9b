"""Small data sets, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

BOX = "0 0.5 0.5 0.1 0.1"


def boxes(count: int) -> list[str]:
    """So many label lines, no two alike."""
    return [f"{index % 3} 0.5 0.5 {0.1 + index / 10**5:.5f} 0.1" for index in range(count)]


def yolo(root: Path, labels: Sequence[Iterable[str] | None], size: tuple[int, int] = (32, 24)) -> Path:
    """A YOLO data set with an image (width, height) per entry, and a label file where an entry is not None; return its data.yaml."""
    for index, lines in enumerate(labels):
        image, label = root / "images" / "train" / f"{index:03}.png", root / "labels" / "train" / f"{index:03}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(image)
        if lines is not None:
            label.write_text("\n".join(lines))
    description = root / "data.yaml"
    description.write_text("train: images/train\nval: images/train\nnames: [a, b, c]\n")
    return description
