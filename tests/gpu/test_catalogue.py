"""The table of cards, and finding one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import AmbiguousNameError, UnknownNameError, UsageError
from vramcast.gpu import catalogue, naming
from vramcast.gpu.present import PresentCard
from vramcast.gpu.spec import GpuSpec
from vramcast.units import GIB, MIB

CARDS = catalogue.load()
FAMILIES = (
    "GTX 10",
    "RTX 20",
    "RTX 30",
    "RTX 40",
    "RTX 50",
    "RTX A6000",
    "RTX PRO",
    "TITAN",
    "A100",
    "H100",
    "H200",
    "B200",
    "Jetson",
    "Instinct",
    "Radeon",
)


def test_there_are_at_least_seventy_five_cards() -> None:
    assert len(CARDS) >= 75


@pytest.mark.parametrize("family", FAMILIES)
def test_every_asked_for_family_is_there(family: str) -> None:
    assert any(family in card.name for card in CARDS)


def test_names_are_unique() -> None:
    assert len({card.name for card in CARDS}) == len(CARDS)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_card_is_plausible_and_sourced(card: GpuSpec) -> None:
    assert 0.85 * card.memory_bytes < card.usable_bytes < card.memory_bytes
    assert card.memory_bytes % GIB == 0
    assert card.source
    assert (card.compute_capability is None) == (card.vendor == "amd")
    assert card.sm_count is None or 1 <= card.sm_count <= 304


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_full_name_finds_the_card(card: GpuSpec) -> None:
    assert catalogue.find(card.name) == card


def test_rules_agree_with_what_was_measured() -> None:
    """A card of nearly the same kind, one measured and one by rule, differ by a small part of their memory."""
    for measured, by_rule in (
        ("rtx 3070", "rtx 2070"),
        ("rtx 4080 super", "rtx 4080"),
        ("gtx 1080", "gtx 1070"),
        ("h100", "h100 pcie"),
        ("l40s", "l20"),
    ):
        known, ruled = catalogue.find(measured), catalogue.find(by_rule)
        assert known.usable_is_measured
        assert not ruled.usable_is_measured
        assert abs(known.usable_bytes - ruled.usable_bytes) < known.memory_bytes // 100


@pytest.mark.parametrize(
    ("text", "name", "low_mib", "high_mib"),
    [
        ("rtx 4090", "NVIDIA GeForce RTX 4090", 24_080, 24_220),
        ("geforce rtx 4090", "NVIDIA GeForce RTX 4090", 24_080, 24_220),
        ("nvidia rtx 4090", "NVIDIA GeForce RTX 4090", 24_080, 24_220),
        ("RTX4090", "NVIDIA GeForce RTX 4090", 24_080, 24_220),
        ("4090", "NVIDIA GeForce RTX 4090", 24_080, 24_220),
        ("a100-80gb", "NVIDIA A100-SXM4-80GB", 81_030, 81_160),
        ("A100 40GB", "NVIDIA A100-SXM4-40GB", 40_320, 40_540),
        ("h100", "NVIDIA H100 80GB HBM3", 81_000, 81_560),
        ("t4", "Tesla T4", 14_900, 15_110),
        ("Tesla V100-SXM2-32GB", "Tesla V100-SXM2-32GB", 32_490, 32_510),
        ("rtx pro 6000", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97_240, 97_890),
        ("quadro rtx 6000", "Quadro RTX 6000", 24_000, 24_300),
        ("rtx 8000", "Quadro RTX 8000", 48_300, 48_610),
        ("4090 laptop", "NVIDIA GeForce RTX 4090 Laptop GPU", 15_800, 16_384),
        ("mi300x", "AMD Instinct MI300X", 196_500, 196_608),
    ],
)
def test_find(text: str, name: str, low_mib: int, high_mib: int) -> None:
    card = catalogue.find(text)
    assert card.name == name
    assert low_mib * MIB <= card.usable_bytes <= high_mib * MIB


@given(card=st.sampled_from(CARDS), upper=st.booleans(), gap=st.sampled_from([" ", "-", "", "  ", "_"]))
def test_spelling_does_not_matter(card: GpuSpec, upper: bool, gap: str) -> None:
    spelled = card.name.replace(" ", gap)
    assert catalogue.find(spelled.upper() if upper else spelled.lower()) == card


def test_ambiguous_name_lists_the_candidates() -> None:
    with pytest.raises(AmbiguousNameError) as caught:
        catalogue.find("a100")
    assert caught.value.candidates == ("A100-SXM4-40GB", "A100-SXM4-80GB")
    for candidate in caught.value.candidates:
        assert naming.key(candidate) in naming.key(catalogue.find(candidate).name)


@pytest.mark.parametrize("text", ["", "nvidia", "foo"])
def test_what_is_no_name_is_unknown(text: str) -> None:
    with pytest.raises(UnknownNameError, match="24GiB"):
        catalogue.find(text)


def test_unknown_name_offers_the_closest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        catalogue.find("rtx 4091")
    assert "RTX 4090" in caught.value.closest


@pytest.mark.parametrize(("text", "size"), [("24GiB", 24 * GIB), ("16 GB", 16 * 10**9), ("512mib", 512 * MIB)])
def test_a_size_is_a_bare_card(text: str, size: int) -> None:
    card = catalogue.resolve(text)
    assert (card.memory_bytes, card.usable_bytes) == (size, size)
    assert (card.vendor, card.compute_capability, card.usable_is_measured) == ("", None, False)


def test_a_number_without_a_unit_is_a_name() -> None:
    assert catalogue.resolve("4090").name == "NVIDIA GeForce RTX 4090"


def test_a_card_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="holds nothing"):
        catalogue.resolve("0GB")


def test_auto_without_a_card_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "present_cards", tuple)
    with pytest.raises(UsageError, match=r"'auto' found no NVIDIA card.*24GiB"):
        catalogue.resolve("auto")


def test_auto_joins_the_driver_and_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    present = PresentCard("NVIDIA GeForce RTX 4060 Ti", 16_380 * MIB, 15_940 * MIB, (8, 9))
    monkeypatch.setattr(catalogue, "present_cards", lambda: (present,))
    card = catalogue.resolve("AUTO")
    assert card.name == "NVIDIA GeForce RTX 4060 Ti"
    assert (card.memory_bytes, card.usable_bytes, card.sm_count) == (16 * GIB, 15_940 * MIB, 34)
    assert card.usable_is_measured


def test_auto_takes_a_card_the_catalogue_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "present_cards", lambda: (PresentCard("NVIDIA X9", 100 * GIB, 99 * GIB, (13, 0)),))
    card = catalogue.resolve("auto")
    assert (card.name, card.memory_bytes, card.usable_bytes) == ("NVIDIA X9", 100 * GIB, 99 * GIB)
    assert (card.compute_capability, card.sm_count) == ((13, 0), None)
