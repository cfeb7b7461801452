"""A memory with a bound forgets its oldest entry, and only where it needs the room."""

from __future__ import annotations

from proxy.decide.bounded import put


def test_the_oldest_makes_room() -> None:
    """As many stay as there may be."""
    memory: dict[str, int] = {}
    for number, key in enumerate("abc"):
        put(memory, key, number, 2)
    assert memory == {"b": 1, "c": 2}


def test_who_is_replaced_pushes_nobody_out() -> None:
    """There is a place for it already, and it is no younger for that."""
    memory = {"a": 1, "b": 2}
    put(memory, "a", 3, 2)
    assert memory == {"a": 3, "b": 2}
    put(memory, "c", 4, 2)
    assert memory == {"b": 2, "c": 4}
