"""Work in parallel processes that may die: results as they come, in any order, and nothing lost but what a process died of."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int, killed: Callable[[Item], Result], *, per_pool: int | None = None
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result. Where a process dies, what it took down is tried again, each item alone in a process of its own.

    `killed` says what an item becomes whose process died when it was alone, as it does when the machine runs out of memory. Processes are
    replaced by new ones after every `per_pool` items (None: never), so that what libraries remember does not pile up.
    """
    size = per_pool or max(1, len(items))
    for start in range(0, len(items), size):
        waiting = dict(enumerate(items[start : start + size]))
        try:
            for index, result in _pool(work, dict(waiting), processes):
                yield waiting.pop(index), result
        except BrokenProcessPool:
            for item in waiting.values():
                yield item, _alone(work, item, killed)


def _alone(work: Callable[[Item], Result], item: Item, killed: Callable[[Item], Result]) -> Result:
    try:
        return next(_pool(work, {0: item}, 1))[1]
    except BrokenProcessPool:
        return killed(item)


def _pool(work: Callable[[Any], Result], items: dict[int, Any], processes: int) -> Iterator[tuple[int, Result]]:
    if not items:
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(processes, len(items)), context, _end_when_interrupted) as pool:
        futures = {pool.submit(work, item): index for index, item in items.items()}
        try:
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_when_interrupted() -> None:
    """Let Ctrl-C end a process at once and silently, rather than turn into the result of the item at hand."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
