"""Where the work of a sweep is done: in this process, in as many as there are cores, or on a Dask cluster.

An engine is a function that takes a function and its arguments and yields the results as they come, in any order. What a worker that
dies was at is done again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vramcast.errors import ForecastError, MissingExtraError, UsageError

Engine = Callable[[Callable[[Any], Any], list[Any]], Iterable[Any]]
DASK = "dask://"
CONNECT_SECONDS = 10
"""How long a scheduler may take to answer."""
_RETRIES = 3
"""Workers that a share may lose (Dask's `allowed-failures` is 3, too) or errors it may raise before the sweep gives up."""


def engine_named(name: str | None, processes: int) -> Engine:
    """Return the engine of this name: None for this machine, or `dask://host:port` for a cluster's scheduler.

    Raises:
        UsageError: no such engine.
        MissingExtraError: its package is not installed.
    """
    if name is None:
        return _inline if processes == 1 else _local(processes)
    if not name.startswith(DASK) or len(name) == len(DASK):
        raise UsageError(f"engine {name!r} is not known. Leave it out to use this machine's cores, or name a scheduler: dask://host:8786")
    return _dask(name.removeprefix(DASK))


def _inline(work: Callable[[Any], Any], arguments: list[Any]) -> Iterator[Any]:
    return map(work, arguments)


def _local(processes: int) -> Engine:
    def run(work: Callable[[Any], Any], arguments: list[Any]) -> Iterable[Any]:
        if len(arguments) < 2:
            return map(work, arguments)
        from joblib import Parallel, delayed

        made: Iterable[Any] = Parallel(n_jobs=min(processes, len(arguments)), return_as="generator_unordered")(map(delayed(work), arguments))
        return made

    return run


def _dask(address: str) -> Engine:
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise MissingExtraError("dask's distributed", "cluster", "An engine dask://…") from error

    def run(work: Callable[[Any], Any], arguments: list[Any]) -> Iterator[Any]:
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise UsageError(f"engine '{DASK}{address}': no scheduler answers there ({error}).") from error
        with client:
            futures = client.map(work, arguments, pure=False, retries=_RETRIES)
            for future in as_completed(futures, loop=client.loop):
                yield _result(future)

    return run


def _result(future: Any) -> Any:
    """Wait for a result: one whose worker died before it was fetched is worked out again."""
    try:
        return future.result()
    except Exception as error:
        raise ForecastError(f"a share of the sweep failed on the cluster: {error!r}. What was done is kept: the same sweep goes on.") from error
