"""The validation pass between epochs, which often binds where training does not."""

from __future__ import annotations

import msgspec

from vramcast.advice.lever import Change, Lever, Situation
from vramcast.presets import ULTRALYTICS

_NONE = "there is no validation pass"


def _smaller(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if workload.phases != "run":
        return _NONE
    batch = workload.validation.batch if workload.validation else workload.batch
    if batch == 1:
        return "its batch is 1 already"
    if workload.validation is None:
        return "it takes the training batch; give it its own with --val-batch"
    half = batch // 2
    made = msgspec.structs.replace(workload.validation, batch=half)
    if situation.is_ultralytics and workload.preset in ULTRALYTICS:
        code = f"trainer.get_dataloader(..., batch_size={half}, mode='val')   # override it; the trainer takes twice the batch"
    else:
        code = f"DataLoader(validation_set, batch_size={half})"
    return (Change(f"validation batch {half}", workload.with_fields(validation=made), code, f"--val-batch {half}"),)


def _empty_cache(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if workload.phases != "run":
        return _NONE
    if workload.habits.empties_cache == "always":
        return "the cache is emptied already"
    habits = msgspec.structs.replace(workload.habits, empties_cache="always")
    code = "torch.cuda.empty_cache()   # before each validation"
    return (Change("cache emptied before validation", workload.with_fields(habits=habits), code, "--habit empties_cache=always"),)


VALIDATION_BATCH = Lever("validation", "smaller validation batch", computation="", risk="", effort="one argument", changes=_smaller)
EMPTY_CACHE = Lever(
    "cache", "cache emptied before validation", computation="segments are asked for anew in every epoch", risk="", effort="one line",
    changes=_empty_cache,
)  # fmt: skip
