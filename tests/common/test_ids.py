"""Ids sort in the order in which they were made: lists and histories lean on it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from utcloud.common.ids import new_id


def test_ids_of_one_millisecond_sort_as_they_were_made() -> None:
    made = [new_id("x") for _ in range(10_000)]
    assert made == sorted(set(made))


def test_a_clock_set_back_does_not_unsort_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id("x")
    hour_ago = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: hour_ago)
    made = [before, *(new_id("x") for _ in range(100))]
    assert made == sorted(set(made))


def test_threads_never_get_the_same() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_id("x"), range(5_000)))
    assert len(set(made)) == len(made)
    assert all(len(one) == len("x_") + 26 for one in made)
