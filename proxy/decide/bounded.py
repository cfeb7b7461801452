"""Memories with a bound: when one is full, the oldest entry makes room."""

from __future__ import annotations

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def put(memory: dict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    """Keep ``value`` in ``memory``, which holds at most ``limit`` entries; one that is replaced keeps its age."""
    if key not in memory and len(memory) >= limit:
        del memory[next(iter(memory))]
    memory[key] = value
