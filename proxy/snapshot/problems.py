"""Problems: what is wrong with a configuration, said in one line each with file, line and key path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.decide.text import printable

if TYPE_CHECKING:
    from proxy.snapshot.stamps import Watched

MAX_SHOWN: Final = 200
"""Problems in one message: more than anybody reads, and a broken template may repeat one ten thousand times."""

MAX_LINE: Final = 2000
"""Characters of one problem: a path of the file system, a key path and a sentence."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worrying where it is a warning.

    ``line`` counts from 1 and is None where the file as a whole is meant; ``path`` is the key path as written by
    ``dotted``, and may be empty.
    """

    file: Path
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        """Write ``file:line: key.path[0].key: message``, without the parts that there are none of."""
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return printable(": ".join(part for part in (place, self.path, self.message) if part), MAX_LINE)


class ConfigError(Exception):
    """A configuration that cannot be used: every problem found, in the order of files and lines.

    ``watched`` is what to watch for its repair, as far as it is known.
    """

    watched: Watched | None = None

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(problems, key=lambda p: (str(p.file), p.line or 0))
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(ordered))
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Write one problem a line."""
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        hidden = len(self.problems) - len(lines)
        return "\n".join([*lines, f"and {hidden} problems more"] if hidden else lines)


def dotted(path: Sequence[str | int]) -> str:
    """Write a key path as people do: ``hosts[0].routes[1].path``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
