"""Reading data sets of every kind, with labels and files as broken as they come."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from data_sets import BOX, boxes, yolo
from PIL import Image

from vramcast import WorkloadError, read_data
from vramcast.data import yolo_labels
from vramcast.data.image_files import ENDINGS
from vramcast.errors import InvalidFileError


def test_a_yolo_data_set_is_counted(tmp_path: Path) -> None:
    data = read_data(yolo(tmp_path, [boxes(3), [], None, boxes(40)]))
    assert (data.kind, len(data), data.malformed) == ("yolo", 4, 0)
    assert data.objects.tolist() == [3, 0, 0, 40]
    assert data.sizes.tolist() == [[24, 32]] * 4
    assert data.names[3] == "images/train/003.png"
    assert data.notes == ("1 of 4 images have no label file, and count as images of background.",)


def test_its_folder_is_the_same_with_and_without_a_description(tmp_path: Path) -> None:
    description = yolo(tmp_path, [boxes(2), boxes(5)])
    by_folder = read_data(tmp_path)
    description.unlink()
    assert read_data(tmp_path).objects.tolist() == by_folder.objects.tolist() == [2, 5]


def test_a_relative_path_finds_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = yolo(tmp_path, [boxes(2), boxes(5)])
    monkeypatch.chdir(tmp_path)
    assert read_data("data.yaml").objects.tolist() == [2, 5]
    description.unlink()
    data = read_data(".")
    assert (data.source, data.names[0], data.objects.tolist()) == (".", "images/train/000.png", [2, 5])


def test_labels_alone_are_enough(tmp_path: Path) -> None:
    description = yolo(tmp_path, [boxes(2), boxes(5)])
    for image in (tmp_path / "images" / "train").iterdir():
        image.unlink()
    data = read_data(description)
    assert (data.objects.tolist(), data.sizes) == ([2, 5], None)
    assert "No images were found" in data.notes[0]


@pytest.mark.parametrize("train", ["[images/train, images/more]", "list.txt", "../images/train"])
def test_the_training_split_is_a_folder_a_list_or_several(train: str, tmp_path: Path) -> None:
    yolo(tmp_path, [boxes(2), boxes(5)])
    (tmp_path / "list.txt").write_text("./images/train/000.png\n\nimages/train/001.png\nnot an image\n")
    (tmp_path / "data.yaml").write_text(f"path: .\ntrain: {train}\n")
    data = read_data(tmp_path / "data.yaml")
    assert data.objects.tolist() == [2, 5]
    assert data.malformed == (train == "list.txt")


def test_listed_images_need_not_be_there(tmp_path: Path) -> None:
    yolo(tmp_path, [boxes(2), boxes(5)])
    (tmp_path / "images" / "train" / "001.png").unlink()
    (tmp_path / "list.txt").write_text("images/train/000.png\nimages/train/001.png\n")
    (tmp_path / "data.yaml").write_text("train: list.txt\n")
    data = read_data(tmp_path)
    assert (data.objects.tolist(), data.sizes.tolist(), data.malformed) == ([2, 5], [[24, 32], [0, 0]], 0)
    assert data.notes[0].startswith("1 images are listed, but not there")
    (tmp_path / "list.txt").write_text("elsewhere/000.png\n")
    with pytest.raises(InvalidFileError, match="names no images and no labels"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.5 0.5 0.1", "4 columns"),
        ("0 0.5 0.5 0.1 wide", "not a line of numbers"),
        ("0 nan 0.5 0.1 0.1", "not finite"),
        ("0 inf 0.5 0.1 0.1", "not finite"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5"),
        ("0 320 240 64 48", "outside the image"),
        ("0 " + "0.5 " * 40000, "characters long"),
        ("\x00\xff\x1b[31m", "1 columns"),
    ],
)
def test_a_malformed_line_costs_no_other(line: str, why: str, tmp_path: Path) -> None:
    data = read_data(yolo(tmp_path, [[*boxes(3), line, BOX]]))
    assert data.objects.tolist() == [4]
    assert data.malformed == 1
    assert data.malformed_examples[0].startswith("labels/train/000.txt, line 4: ")
    assert why in data.malformed_examples[0]


def test_lines_count_as_ultralytics_counts_them(tmp_path: Path) -> None:
    """Doubles once, polygons, boxes with keypoints, a byte-order mark, Windows line ends."""
    pytest.importorskip("ultralytics")
    from ultralytics.data.utils import verify_image_label

    polygons = [f"1 0.1 0.1 0.{side} 0.1 0.2 0.{side} 0.1 0.3" for side in (4, 5, 6, 6)]
    keypoints = [f"0 0.5 0.5 0.{side} 0.1 0.5 0.5 2 0.1 0.1 0" for side in (1, 2, 2)]
    for name, lines, keypoint in (("doubled", [*boxes(4), *boxes(2)], 0), ("polygons", polygons, 0), ("keypoints", keypoints, 2)):
        description = yolo(tmp_path / name, [lines])
        label = tmp_path / name / "labels" / "train" / "000.txt"
        label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes().replace(b"\n", b"\r\n"))
        image = tmp_path / name / "images" / "train" / "000.png"
        theirs = verify_image_label((str(image), str(label), "", bool(keypoint), 3, keypoint, 3 if keypoint else 0, False))
        assert read_data(description).objects.tolist() == [len(theirs[1])]


def test_the_size_of_every_kind_of_image_is_read_and_broken_ones_are_counted(tmp_path: Path) -> None:
    for ending in ENDINGS:
        Image.new("RGB", (37, 21)).save(tmp_path / f"image{ending}")
    whole = (tmp_path / "image.jpg").read_bytes()
    for name, content in (("cut", whole[:40]), ("empty", b""), ("text", b"no image"), ("noise", bytes(range(256)))):
        (tmp_path / f"{name}.jpg").write_bytes(content)
    data = read_data(tmp_path)
    assert (data.kind, len(data), data.malformed) == ("image-folder", len(ENDINGS) + 4, 4)
    known = data.sizes[data.sizes[:, 0] > 0]
    assert known.tolist() == [[21, 37]] * len(ENDINGS)


def test_an_enormous_image_is_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (12000, 10000)).save(tmp_path / "large.png")
    header = bytearray((tmp_path / "large.png").read_bytes())
    started = time.perf_counter()
    assert read_data(tmp_path).sizes.tolist() == [[10000, 12000]]
    header[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    (tmp_path / "large.png").write_bytes(header)
    assert read_data(tmp_path).malformed == 1
    assert time.perf_counter() - started < 1


def test_links_in_a_circle_and_pipes_end(tmp_path: Path) -> None:
    description = yolo(tmp_path, [boxes(1), boxes(2)])
    (tmp_path / "images" / "train" / "again").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "self").symlink_to(tmp_path / "images" / "self")
    os.mkfifo(tmp_path / "images" / "train" / "pipe.png")
    (tmp_path / "labels" / "train" / "000.txt").unlink()
    os.mkfifo(tmp_path / "labels" / "train" / "000.txt")
    assert read_data(description).objects.tolist() == [0, 2]


def test_an_endless_label_file_is_read_up_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo_labels, "LARGEST_FILE", 1000)
    data = read_data(yolo(tmp_path, [boxes(10**4)]))
    assert 0 < data.objects[0] < 60
    assert "read up to there" in data.malformed_examples[0]


def coco(images: list[Any], annotations: list[Any]) -> str:
    return json.dumps({"info": {"year": 2017}, "images": images, "annotations": annotations, "categories": [{"id": 1}]})


def test_a_coco_file_is_counted_entry_by_entry(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a\x1b.jpg", "width": 640, "height": 480}, {"id": "x", "file_name": "b.jpg"}, {"id": 7}, {"name": 1}, 3]
    box = {"image_id": 7, "bbox": [1, 2, 3, 4], "segmentation": [[1.0] * 100]}
    broken = [{"image_id": 99, "bbox": [1, 2, 3, 4]}, {"image_id": 7, "bbox": [1, 2, 0, 4]}, {"image_id": 7, "bbox": None}, [], {}]
    (tmp_path / "instances.json").write_text(coco(images, [box, box, {**box, "iscrowd": 1}, {**box, "image_id": "x"}, *broken]))
    data = read_data(tmp_path / "instances.json")
    assert data.objects.tolist() == [2, 1]
    assert data.sizes.tolist() == [[480, 640], [0, 0]]
    assert data.names == ("a?.jpg", "b.jpg")
    assert data.malformed == 3 + len(broken)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', '{"images": []}', '{"images": ' + "[" * 10**5, "\x00\xff"])
def test_what_is_no_coco_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidFileError, match=r"x\.json"):
        read_data(tmp_path / "x.json")


def test_lengths_are_read_from_text_csv_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12\n\n700\nlong\n-3\n9" + "9" * 5000 + "\n")
    (tmp_path / "a.csv").write_text('text,length\n"one, two",12\n"three",700\n"four"\n"five",1e3\n')
    polars.DataFrame({"text": ["a", "b", "c"], "length": [12, 700, None]}).write_parquet(tmp_path / "a.parquet")
    for ending, malformed in (("txt", 3), ("csv", 2), ("parquet", 1)):
        data = read_data(tmp_path / f"a.{ending}")
        assert (data.kind, data.lengths.tolist(), data.malformed) == ("lengths", [12, 700], malformed), ending
    np.testing.assert_array_equal(read_data(tmp_path / "a.txt").names, ["row 1", "row 3"])


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("none.txt", b"no numbers\n", "no sequence lengths"),
        ("other.csv", b"a,b\n1,2\n", "no column of lengths among a, b"),
        ("broken.parquet", b"PAR1 and nothing more", "no Parquet file"),
        ("data.yaml", b"train: [1, 2]", "names no training images"),
        ("data.yaml", b"train: images", "names no images and no labels"),
        ("data.yaml", b"train: " + b"a" * 5000, "names no images and no labels"),
        ("data.txt.yaml", b"train: data.txt.yaml", "names no images and no labels"),
        ("data.yaml", b"path: " + b"a" * 5000 + b"\ntrain: '../\\x'", "names no images and no labels"),
        ("data.yaml", b"{", "is no YAML"),
        ("data.yaml", b"- a", "holds no fields"),
        ("data.yaml", b"!!python/object/apply:os.system ['touch executed']", "holds no fields"),
        ("data.yaml", b"train: !!python/object/apply:os.system ['touch executed']", "names no training images"),
        ("data.yaml", b"[" * 10**5, "is no YAML"),
        (
            "data.yaml",
            b"a0: &a0 {k: 1}\n" + b"".join(b"a%d: &a%d {<<: [%s]}\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30)),
            "names no training images",
        ),
        ("data.yaml", b"a: &a [x,x]\nb: &b [*a,*a]\ntrain: *b", "names no training images"),
        ("data.yaml", b"#" * (2**20 + 1), "is larger than"),
        ("model.onnx", b"", "is no data set that is known"),
    ],
)
def test_what_is_no_data_set_is_refused(name: str, content: bytes, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidFileError, match=found):
        read_data(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("path", ["nowhere", "null\0byte", "a" * 5000, ""])
def test_no_such_path(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidFileError, match=r"no data set|holds no images"):
        read_data(path)


def test_a_chance_is_between_nothing_and_always(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="from 0 to 1"):
        read_data(tmp_path, mosaic=1.5)
