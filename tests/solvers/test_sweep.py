"""Every point of a sweep is a forecast of its own, each once, whatever happens on the way."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import MissingExtraError, OutputError, UnknownNameError, UsageError, WorkloadError
from vramcast.gpu.catalogue import find
from vramcast.pipeline import estimate
from vramcast.solvers.sweep import tables
from vramcast.solvers.sweep.axes import LARGEST_GRID, parse_values
from vramcast.solvers.sweep.engines import engine_named
from vramcast.solvers.sweep.grid import Grid, grid
from vramcast.solvers.sweep.journal import Journal
from vramcast.solvers.sweep.record import Record
from vramcast.solvers.sweep.run import combinations, run, sweep
from vramcast.workload import Workload

MODEL = "torchvision:resnet18"
WORKLOAD = Workload.train(steps=1, image=64)


@given(first=st.integers(0, 999), more=st.integers(0, 200), step=st.integers(1, 50))
def test_ranges_hold_both_ends(first: int, more: int, step: int) -> None:
    values = parse_values(f"{first}:{first + more * step}:{step}", int)
    assert values == tuple(first + index * step for index in range(more + 1))


def test_lists_and_ranges_mix() -> None:
    assert parse_values("1, 2:4,16:32:16,16", int) == (1, 2, 3, 4, 16, 32)


@pytest.mark.parametrize(
    ("text", "match"), [("8:4", "runs backwards"), ("1:9:0", "a step of 0"), (",", "holds no value"), (f"1:{LARGEST_GRID + 1}", "at most 1,000,000")]
)
def test_what_is_no_range_is_refused(text: str, match: str) -> None:
    with pytest.raises(WorkloadError, match=match):
        parse_values(text, int)


def test_each_point_is_the_forecast_of_that_point() -> None:
    axes = {"batch": range(1, 5), "image": [64, 96, 128, 160], "precision": ["fp32", "amp-fp16"]}
    records = sweep(MODEL, WORKLOAD, axes, ["t4", "rtx 4090"], processes=1)
    assert len(records) == 4 * 4 * 2 * 2
    assert len({json.dumps(record.axes) for record in records}) == len(records)
    assert list(records[0].axes) == ["batch", "image", "precision", "gpu"]
    for record in records[7::13]:
        side = record.axes["image"]
        fields = {"batch": record.axes["batch"], "image": (side, side), "precision": record.axes["precision"]}
        made = estimate(MODEL, WORKLOAD.with_fields(**fields), record.axes["gpu"])
        assert (record.allocated_bytes, record.reserved_bytes, record.device_bytes) == (
            made.peak.allocated_bytes, made.peak.reserved_bytes, made.peak.device_bytes
        )  # fmt: skip
        assert record.fits == made.fits
        assert sum(record.components.values()) == record.device_bytes


def test_a_point_that_cannot_be_traced_is_told_and_the_others_go_on() -> None:
    records = sweep("ultralytics:yolo11n", Workload.infer(), {"batch": [1], "image": [64, 70, 96]}, processes=1)
    errors = {record.axes["image"] for record in records if record.error}
    assert errors == {70}
    assert "multiples of its stride" in str(next(record.error for record in records if record.error))
    assert all(record.device_bytes for record in records if record.axes["image"] != 70)


def small_grid(batches: Iterable[int] = range(1, 41)) -> Grid:
    return grid(MODEL, combinations([({}, WORKLOAD)], []), {"batch": tuple(batches)}, ["batch"])


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    asked, output = small_grid(), tmp_path / "sweep.json"
    whole = run(asked, engine_named(None, 1), None)
    served: list[int] = []

    def dies_half_way(work: Any, arguments: list[Any]) -> Iterable[Any]:
        for argument in arguments:
            if len(served) == 3:
                raise KeyboardInterrupt
            served.append(1)
            yield work(argument)

    with pytest.raises(KeyboardInterrupt):
        run(asked, dies_half_way, output)
    kept = Journal(output, asked.digest()).read()
    assert 0 < len(kept) < len(asked)
    with Journal(output, asked.digest()).path.open("ab") as file:
        file.write(b'{"records":[[39,{"axes"')  # a line that was cut off
    left: list[int] = []

    def counts(work: Any, arguments: list[Any]) -> Iterable[Any]:
        for argument in arguments:
            result = work(argument)
            if isinstance(result, list):  # not a family
                left.extend(index for index, _ in result)
            yield result

    assert run(asked, counts, output) == whole
    assert sorted(left) == sorted(set(range(len(asked))) - set(kept))


def test_another_sweep_s_journal_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "sweep.json"
    Journal(output, small_grid().digest()).start({})
    with pytest.raises(OutputError, match="another, interrupted sweep"):
        run(small_grid(range(1, 3)), engine_named(None, 1), output)


def test_a_quick_sweep_tells_live_bytes(tmp_path: Path) -> None:
    axes = {"batch": range(2, 12), "image": [64, 96, 128, 160]}
    quick = sweep(MODEL, WORKLOAD, axes, "rtx 4090", quick=True, processes=1, output=tmp_path / "quick.json")
    whole = sweep(MODEL, WORKLOAD, axes, "rtx 4090", processes=1)
    for found, replayed in zip(quick, whole):
        assert found.axes == replayed.axes
        assert found.live_bytes is not None
        assert replayed.allocated_bytes is not None
        assert found.live_bytes <= replayed.allocated_bytes <= found.live_bytes * 1.05 + 2**23
    assert len(json.loads((tmp_path / "quick.json").read_bytes())) == len(quick)
    assert [path.name for path in tmp_path.iterdir()] == ["quick.json"]


RECORDS = [
    Record(axes={"batch": 1, "precision": "fp32"}, allocated_bytes=2**40, reserved_bytes=2**40 + 1, device_bytes=2**40 + 2, low_bytes=1,
           high_bytes=2, fits=True, components={"weights": 5}),
    Record(axes={"batch": 2, "precision": "fp32"}, error="it, \"said\" no"),
]  # fmt: skip


def test_tables_hold_what_was_found(tmp_path: Path) -> None:
    listed = json.loads(tables.as_json(RECORDS))
    assert [(point["batch"], point["allocated_bytes"], point["fits"], point["error"]) for point in listed] == [
        (1, 2**40, True, None), (2, None, None, "it, \"said\" no")
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(RECORDS).decode())))
    assert (rows[0]["batch"], rows[0]["reserved_bytes"], rows[0]["weights_bytes"], rows[1]["error"]) == ("1", str(2**40 + 1), "5", 'it, "said" no')
    polars = pytest.importorskip("polars")
    tables.write(RECORDS, tmp_path / "sweep.parquet", "parquet")
    frame = polars.read_parquet(tmp_path / "sweep.parquet")
    assert frame["device_bytes"].to_list() == [2**40 + 2, None]


def test_wrong_requests_are_refused_before_any_work() -> None:
    with pytest.raises(UnknownNameError):
        sweep("resnet0", WORKLOAD, {"batch": [1]}, processes=1)
    with pytest.raises(UnknownNameError, match="no workload field is called 'bacth'"):
        sweep(MODEL, WORKLOAD, {"bacth": [1]}, processes=1)
    with pytest.raises(UsageError, match="dask://host:8786"):
        sweep(MODEL, WORKLOAD, {"batch": [1]}, engine="ray", processes=1)


def test_what_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"vramcast\[parquet\]"):
        tables.as_parquet(RECORDS)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"vramcast\[cluster\]"):
        engine_named("dask://host:1", 1)


@pytest.mark.parametrize(("image", "ending"), [((64, 96), "svg"), ((64,), "png")])
def test_drawings_are_made(image: tuple[int, ...], ending: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vramcast.solvers.sweep.plots import draw

    records = [
        Record(axes={"batch": batch, "image": side}, device_bytes=batch * side * 2**24, fits=batch * side < 300, components={"weights": 2**30})
        for batch in range(1, 6) for side in image
    ]  # fmt: skip
    draw(records, tmp_path / f"plot.{ending}", [find("t4")])
    content = (tmp_path / f"plot.{ending}").read_bytes()
    assert content.startswith(b"<?xml" if ending == "svg" else b"\x89PNG")


def test_a_legend_says_what_a_line_parts_or_that_there_is_none(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vramcast.solvers.sweep.plots import draw

    def legend(largest: int) -> str:
        records = [
            Record(axes={"batch": batch, "image": side}, device_bytes=2**30, fits=batch * side <= largest, components={})
            for batch in (1, 2) for side in (64, 96)
        ]  # fmt: skip
        draw(records, tmp_path / "plot.svg", [find("t4")])
        return (tmp_path / "plot.svg").read_text()

    assert "below and left of this line" in legend(100)
    assert "every point fits" in legend(1000)
    assert "no point fits" in legend(1)


def test_more_axes_than_a_drawing_has_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vramcast.reports.drawing import check_drawing
    from vramcast.solvers.sweep.plots import draw

    records = [Record(axes={"batch": batch, "image": 64 * batch, "optimizer": name}) for batch in (1, 2) for name in ("sgd", "adam")]
    with pytest.raises(UsageError, match="varies batch, image, optimizer"):
        draw(records, tmp_path / "plot.png", [])
    with pytest.raises(UsageError, match=r"Let it end in \.png"):
        check_drawing(tmp_path / "plot.gif", "Drawing a sweep")
