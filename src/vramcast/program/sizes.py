"""Do the sizes a workload names go with the model? Pure checks, made before anything is built."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.errors import WorkloadError
from vramcast.sources.interface import Model
from vramcast.workload import Workload

Size = tuple[int, int]


def check_sizes(model: Model, workload: Workload) -> None:
    """Refuse sizes that the model cannot take, and inputs of a kind it does not have.

    Raises:
        WorkloadError: the message names the field, what was given, and what the model takes.
    """
    if model.task == "generic":
        return
    if workload.inputs:
        names = ", ".join(spec.name for spec in workload.inputs)
        raise WorkloadError(
            f"inputs {names} and model {_name(model)} exclude each other: it has inputs of its own, whose size is set by {_own(model)}."
        )
    if model.image is None:
        _check_sequence(model, workload)
    elif workload.seq is not None:
        raise WorkloadError(f"seq {workload.seq} and model {_name(model)} exclude each other: it takes images, whose size is set by image.")
    for field, size in _images(workload):
        if model.image is None:
            raise WorkloadError(f"{field} {_text(size)} and model {_name(model)} exclude each other: it takes no images; set seq.")
        _check_image(model, field, size)


def _check_sequence(model: Model, workload: Workload) -> None:
    if workload.seq is not None and model.max_sequence is not None and workload.seq > model.max_sequence:
        raise WorkloadError(
            f"seq is {workload.seq}, but {_name(model)} takes at most {model.max_sequence} tokens. "
            "Name a shorter sequence, or a model made for longer ones."
        )


def _check_image(model: Model, field: str, size: Size) -> None:
    if model.fixed_image and model.image is not None and size != model.image:
        raise WorkloadError(
            f"{field} is {_text(size)}, but {_name(model)} is made for {_text(model.image)} and takes no other size. "
            f"Leave {field} out, or name a model made for another size."
        )
    if any(side % model.stride for side in size):
        below = tuple(max(side // model.stride, 1) * model.stride for side in size)
        above = tuple(-(-side // model.stride) * model.stride for side in size)
        nearest = " or ".join(dict.fromkeys(_text(near) for near in (below, above)))
        raise WorkloadError(
            f"{field} is {_text(size)}, but the sides of {_name(model)}'s images must be multiples of its stride, {model.stride}. Nearest: {nearest}."
        )


def _images(workload: Workload) -> Iterator[tuple[str, Size]]:
    """List the image sizes that a workload names, with the field of each."""
    if workload.image is not None:
        yield "image", workload.image
    if workload.image_range is not None:
        largest = max(workload.image_range)
        yield "the largest image of image_range", (largest, largest)
    if workload.validation is not None and workload.validation.image is not None:
        yield "the validation image", workload.validation.image


def _text(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def _name(model: Model) -> str:
    return f"{model.source}:{model.name}"


def _own(model: Model) -> str:
    return "seq" if model.image is None else "image"
