"""File names of organisations: safe in every file system, and never two for one."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpeer.adapters.organisation_files import RESERVED, file_stems


@given(st.sets(st.text(max_size=120), max_size=12))
def test_no_two_names_are_one_in_any_file_system(names: set[str]) -> None:
    stems = file_stems(names)
    assert set(stems) == names
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert len({unicodedata.normalize(form, stem).casefold() for stem in stems.values()}) == len(names)
    for stem in stems.values():
        assert stem
        assert len(f"{stem}.html".encode()) <= 120
        assert all(c.isalnum() or c == "-" for c in stem)
        assert stem.casefold() not in RESERVED
        assert not stem.startswith("-")


def test_names_that_differ_by_case_or_forbidden_characters_get_numbers() -> None:
    stems = file_stems(["North Wind", "north wind", "North/Wind", "North\\Wind", "North-Wind-2"])
    assert sorted(stems.values(), key=str.casefold) == [
        "North-Wind", "North-Wind-2", "North-Wind-3", "North-Wind-4", "north-wind-5",
    ]  # fmt: skip
    assert stems["North Wind"] == "North-Wind"


@pytest.mark.parametrize("name", ["CON", "../../etc/passwd", "...", "", "com1", "a" * 300, "\u202e.exe"])
def test_hostile_names_are_plain_files(name: str) -> None:
    (stem,) = file_stems([name]).values()
    assert set(stem) <= {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"}
    assert 0 < len(stem) <= 100


def test_letters_of_all_languages_stay() -> None:
    assert file_stems(["Åre Snö", "Ångström"]) == {"Åre Snö": "Åre-Snö", "Ångström": "Ångström"}
