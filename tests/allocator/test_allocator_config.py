"""`AllocatorConfig`: the syntax of PYTORCH_CUDA_ALLOC_CONF, and the sizes that follow from the options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import UNLIMITED
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.units import GIB, MIB


def test_an_empty_text_gives_the_defaults() -> None:
    assert AllocatorConfig.parse("") == AllocatorConfig()


def test_every_option_is_read() -> None:
    text = (
        "backend:native, expandable_segments:True,max_split_size_mb:128,max_non_split_rounding_mb:64,large_segment_size_mb:32,"
        "garbage_collection_threshold:0.8,per_process_memory_fraction:0.5,roundup_power2_divisions:4"
    )
    assert AllocatorConfig.parse(text) == AllocatorConfig(
        expandable_segments=True,
        max_split_size=128 * MIB,
        max_non_split_rounding_size=64 * MIB,
        large_segment_size=32 * MIB,
        roundup_power2_divisions=(4,) * 16,
        garbage_collection_threshold=0.8,
        per_process_memory_fraction=0.5,
    )


def test_the_rounding_of_oversize_blocks_follows_the_large_segment() -> None:
    assert AllocatorConfig.parse("large_segment_size_mb:32").max_non_split_rounding_size == 32 * MIB


def test_division_lists_hold_from_each_boundary_to_the_next() -> None:
    config = AllocatorConfig.parse("roundup_power2_divisions:[256:1,512:2,1024:4,>:8]")
    assert config.roundup_power2_divisions == (1,) * 9 + (2, 4) + (8,) * 5


def test_a_rest_without_boundary_starts_at_2_mib() -> None:
    # As torch reads it: the rest starts after the last boundary, which is 1 MiB when none was given.
    assert AllocatorConfig.parse("roundup_power2_divisions:[>:8]").roundup_power2_divisions == (0,) + (8,) * 15


def test_a_division_list_without_rest_leaves_larger_sizes_alone() -> None:
    assert AllocatorConfig.parse("roundup_power2_divisions:[1:2,2:4]").roundup_power2_divisions == (2, 4) + (0,) * 14


@pytest.mark.parametrize("text", ["pinned_use_background_threads:True", "release_lock_on_cudamalloc:True", "throw_on_cudamalloc_oom:True"])
def test_options_without_effect_on_device_memory_are_accepted(text: str) -> None:
    assert AllocatorConfig.parse(text) == AllocatorConfig()


def test_an_unknown_option_lists_the_closest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        AllocatorConfig.parse("max_split_size:128")
    assert "max_split_size_mb" in caught.value.closest
    assert "'max_split_size'" in str(caught.value)


def test_another_backend_is_refused_with_what_is_supported() -> None:
    with pytest.raises(WorkloadError, match=r"cudaMallocAsync.*backend:native"):
        AllocatorConfig.parse("backend:cudaMallocAsync")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("expandable_segments:true", "True or False"),
        ("max_split_size_mb:19", "at least 20"),
        ("max_split_size_mb:31,large_segment_size_mb:32", "at least 32"),
        ("max_non_split_rounding_mb:ten", "whole number of MiB"),
        ("large_segment_size_mb:10", "at least 11"),
        ("garbage_collection_threshold:1.0", "above 0 and below 1"),
        ("garbage_collection_threshold:much", "above 0 and below 1"),
        ("per_process_memory_fraction:1.5", "from 0 to 1"),
        ("roundup_power2_divisions:3", "powers of two"),
        ("roundup_power2_divisions:[256:3]", "powers of two"),
        ("roundup_power2_divisions:[256]", "list such as"),
        ("expandable_segments", "key:value"),
        ("expandable_segments:True;max_split_size_mb:128", "key:value"),
        (",", "key:value"),
    ],
)
def test_illegal_values_are_named_with_what_is_legal(text: str, complaint: str) -> None:
    with pytest.raises(WorkloadError, match=complaint):
        AllocatorConfig.parse(text)


@pytest.mark.parametrize(("requested", "rounded"), [(1, 512), (512, 512), (513, 1024), (1000, 1024), (MIB + 1, MIB + 512)])
def test_requests_are_rounded_to_512_bytes(requested: int, rounded: int) -> None:
    assert AllocatorConfig().round_size(requested) == rounded


def test_requests_are_rounded_to_divisions_of_a_power_of_two() -> None:
    config = AllocatorConfig.parse("roundup_power2_divisions:4")
    assert config.round_size(1200 * MIB) == 1280 * MIB
    assert config.round_size(1024 * MIB) == 1024 * MIB
    # Up to 512 bytes times the divisions, multiples of 512 remain.
    assert config.round_size(1200) == 1536


@given(requested=st.integers(1, 80 * GIB), divisions=st.sampled_from([0, 1, 2, 4, 8]))
def test_rounding_is_tight_idempotent_and_a_multiple_of_512(requested: int, divisions: int) -> None:
    config = AllocatorConfig(roundup_power2_divisions=(divisions,) * 16)
    rounded = config.round_size(requested)
    assert rounded % 512 == 0
    assert config.round_size(rounded) == rounded
    assert requested <= rounded < requested + max(512, requested // max(divisions, 1) if divisions > 1 else 512)


@pytest.mark.parametrize(
    ("size", "segment"), [(512, 2), (MIB, 2), (MIB + 512, 20), (10 * MIB - 512, 20), (10 * MIB, 10), (10 * MIB + 512, 12), (21 * MIB, 22)]
)
def test_segment_sizes(size: int, segment: int) -> None:
    assert AllocatorConfig().segment_size(size) == segment * MIB


def test_the_fraction_is_taken_of_the_whole_card() -> None:
    assert AllocatorConfig(per_process_memory_fraction=0.5).allowed_bytes(24 * GIB) == 12 * GIB
    assert AllocatorConfig(per_process_memory_fraction=0.5).allowed_bytes(None) == UNLIMITED
    assert AllocatorConfig().allowed_bytes(24 * GIB) == UNLIMITED
