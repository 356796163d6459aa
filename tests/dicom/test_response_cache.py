"""The cache of encoded responses: what is used stays, what does not fit goes, and the sum is right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mwl.dicom.response_cache import Encoded, ResponseCache
from mwl.store.queries import LeftOut

COST = ResponseCache(capacity=10**9)
COST.put("key", Encoded(b""))
ENTRY = COST.size  # bytes an entry of no data counts for


def test_what_was_put_is_found_until_it_is_replaced() -> None:
    """One entry a key; the newer counts, also in the sum."""
    cache = ResponseCache()
    cache.put("a", Encoded(b"old and long"))
    cache.put("a", Encoded(b"new"))

    assert cache.get("a") == Encoded(b"new")
    assert cache.get("b") is None
    assert cache.size == ENTRY + 3


def test_what_was_used_last_stays() -> None:
    """Looking at an entry is using it."""
    cache = ResponseCache(capacity=2 * ENTRY)
    cache.put("a", Encoded())
    cache.put("b", Encoded())
    cache.get("a")
    cache.put("c", Encoded())

    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_a_reason_is_kept_like_a_response() -> None:
    """A step that cannot be sent is not tried again at every query."""
    cache = ResponseCache()
    left_out = LeftOut(7, "too long", "PatientName", "ours.yaml:3")
    cache.put("a", Encoded(left_out=left_out))

    assert cache.get("a") == Encoded(b"", left_out)


def test_what_alone_is_too_large_is_not_kept() -> None:
    """It takes nothing with it but what had to make room."""
    cache = ResponseCache(capacity=ENTRY)
    cache.put("a", Encoded(b"x"))

    assert (cache.get("a"), cache.size) == (None, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=2000))), st.integers(ENTRY, 6 * ENTRY)
)
def test_the_capacity_is_never_passed_and_the_sum_is_that_of_the_entries(
    puts: list[tuple[str, bytes]], capacity: int
) -> None:
    """Whatever is put in whichever order; what is still there is what was put last under its key."""
    cache = ResponseCache(capacity)
    last = {}
    for key, data in puts:
        cache.put(key, Encoded(data))
        last[key] = data
        assert cache.size <= capacity

    kept = {key: entry.data for key in last if (entry := cache.get(key)) is not None}
    assert cache.size == sum(ENTRY + len(data) for data in kept.values())
    assert kept.items() <= last.items()
