"""Yes and no of `is_deleted`."""

from __future__ import annotations

import pytest

from support.cleaning import customer

YES = (
    "true", "T", "YES", "y", "1", "x", " X ", "2024-05-01", "2024-05-01T10:00:00",
    "2024-05-01 10:00:00.123", "2024-05-01T23:00:00Z", "2024-05-01T10:00:00+02:00",
)  # fmt: skip
NO = ("false", "F", "No", "n", "0", "", " ", "NULL", "\\N", None)
NEITHER = (
    "maybe", "2", "-1", "01", "yes!", "0000-00-00", "2024-02-30", "2024-13-01", "01/02/2024",
    "2024", "now", "deleted", "NaN",
)  # fmt: skip


@pytest.mark.parametrize("text", YES)
def test_a_yes_and_a_date_are_a_yes(text: str) -> None:
    assert customer(is_deleted=text)["is_deleted"] is True


@pytest.mark.parametrize("text", NO)
def test_a_no_and_no_value_are_a_no(text: str | None) -> None:
    assert customer(is_deleted=text)["is_deleted"] is False


@pytest.mark.parametrize("text", NEITHER)
def test_what_is_neither_is_not_guessed(text: str) -> None:
    assert customer(is_deleted=text)["is_deleted"] is None
