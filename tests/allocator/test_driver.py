"""The simulated driver: limits, granularity, and addresses that are used again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vramcast.allocator.driver import PAGE_SIZE, Driver
from vramcast.units import MIB


def test_memory_is_given_out_in_pages_of_2_mib() -> None:
    driver = Driver(3 * MIB)
    assert driver.malloc(1) is not None
    assert driver.malloc(1) is None


def test_freed_memory_can_be_had_again_at_the_lowest_address() -> None:
    driver = Driver(None)
    first, second, third = driver.malloc(4 * MIB), driver.malloc(2 * MIB), driver.malloc(8 * MIB)
    assert (first, second, third) == (PAGE_SIZE, PAGE_SIZE + 4 * MIB, PAGE_SIZE + 6 * MIB)
    driver.free(PAGE_SIZE)
    driver.free(PAGE_SIZE + 4 * MIB)
    # The two gaps are one now, and six MiB fit.
    assert driver.malloc(6 * MIB) == PAGE_SIZE


def test_the_highest_range_is_extended_once_it_is_free() -> None:
    driver = Driver(None)
    driver.malloc(2 * MIB)
    last = driver.malloc(2 * MIB)
    assert last is not None
    driver.free(last)
    assert driver.malloc(8 * MIB) == last


def test_a_failed_request_takes_nothing() -> None:
    driver = Driver(10 * MIB)
    assert not driver.create(12 * MIB)
    assert driver.create(10 * MIB)
    driver.release(10 * MIB)
    assert driver.malloc(10 * MIB) is not None


def test_address_ranges_are_aligned_apart_from_memory_and_used_again() -> None:
    driver = Driver(0)
    first = driver.reserve_addresses(40 * MIB, 20 * MIB)
    second = driver.reserve_addresses(40 * MIB, 20 * MIB)
    assert first % (20 * MIB) == second % (20 * MIB) == 0
    assert second >= first + 40 * MIB
    driver.release_addresses(first, 40 * MIB, 20 * MIB)
    assert driver.reserve_addresses(40 * MIB, 20 * MIB) == first


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40 * MIB)), max_size=60))
def test_allocations_never_overlap(steps: list[tuple[bool, int]]) -> None:
    driver, live = Driver(200 * MIB), dict[int, int]()
    for frees, number in steps:
        if frees and live:
            address = sorted(live)[number % len(live)]
            driver.free(address)
            del live[address]
        else:
            address = driver.malloc(number)
            assert (address is None) == (sum(live.values()) + -(-number // PAGE_SIZE) * PAGE_SIZE > 200 * MIB)
            if address is not None:
                size = -(-number // PAGE_SIZE) * PAGE_SIZE
                assert all(address + size <= start or start + held <= address for start, held in live.items())
                live[address] = size
