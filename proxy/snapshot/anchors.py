"""Anchors: the CA certificates of a bundle, out of files and folders, each with the window in which it counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple, Protocol

from proxy.decide.facts import Certificate
from proxy.decide.peer.chain import check_keys
from proxy.decide.peer.windows import ALWAYS, Window, first_gap, instant
from proxy.snapshot.config_trust import AnchorConfig
from proxy.snapshot.credentials import anchor_fault, distinct, out_of_date
from proxy.snapshot.files import FileError, certificates_in
from proxy.snapshot.problems import KeyPath


class Desk(Protocol):
    """Reads files, and takes notes of what is wrong or worrying about the key that names them."""

    def certificates(self, path: Path, at: KeyPath) -> tuple[Certificate, ...]:
        """Read a file of certificates; none go with a problem."""

    def unreadable(self, at: KeyPath, fault: FileError) -> None:
        """Note that a file or folder cannot be read."""

    def problem(self, at: KeyPath, message: str) -> None:
        """Note what is wrong."""

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is worrying."""


class _Found(NamedTuple):
    """An anchor, the key path and the file that it came by, and its window."""

    anchor: Certificate
    at: KeyPath
    file: Path
    window: Window


class Anchors(NamedTuple):
    """The anchors of a bundle, each once, and the windows of those that do not always count, by fingerprint."""

    certificates: tuple[Certificate, ...]
    windows: tuple[tuple[str, Window], ...]


def read_anchors(entries: Iterable[AnchorConfig], at: KeyPath, desk: Desk, now: float) -> Anchors:
    """Read the anchors of the list at ``at`` as of Unix time ``now``; every fault becomes a problem at ``desk``."""
    found = [one for place, entry in enumerate(entries) for one in _read(entry, (*at, place), desk)]
    windows = _windows(found, desk)
    for one in found:
        _worry(one, desk, now)
    if windows:
        _worry_about_gap([windows.get(one.anchor.fingerprint, ALWAYS) for one in found], at, desk, now)
    return Anchors(distinct(one.anchor for one in found), tuple(windows.items()))


def _read(entry: AnchorConfig, at: KeyPath, desk: Desk) -> Iterator[_Found]:
    try:
        files = certificates_in(entry.file)
    except FileError as fault:
        desk.unreadable(at, fault)
        return
    window = Window(
        -inf if entry.not_before is None else entry.not_before, inf if entry.not_after is None else entry.not_after
    )
    for file in files:
        for anchor in desk.certificates(file, at):
            unfit = anchor_fault(anchor)
            if unfit is not None:
                desk.problem(at, f"{file}: {anchor.subject} is no anchor: {unfit}")
            yield _Found(anchor, at, file, window)


def _windows(found: Iterable[_Found], desk: Desk) -> dict[str, Window]:
    """Return the windows that are some; an anchor that is named twice has one meaning, or it is a problem."""
    first: dict[str, _Found] = {}
    for one in found:
        other = first.setdefault(one.anchor.fingerprint, one)
        if other.window != one.window:
            message = (
                f"{one.file}: anchor {one.anchor.subject} counts {one.window} here, and {other.window} where "
                f"{other.file} is named; name it once (a folder names all that is in it)"
            )
            desk.problem(one.at, message)
    return {fingerprint: one.window for fingerprint, one in first.items() if one.window != ALWAYS}


def _worry(one: _Found, desk: Desk, now: float) -> None:
    anchor, at, file, window = one
    dates = out_of_date(anchor, now)
    if dates is not None:
        desk.warn(at, f"{file}: anchor {anchor.subject} {dates}; it admits nobody")
    weak = check_keys((anchor,))
    if weak is not None:
        desk.warn(at, f"{file}: {weak.detail}; it admits nobody")
    if now >= window.not_after:
        ended = f"is trusted {window}, which is over; it admits nobody, and can be removed"
        desk.warn(at, f"{file}: anchor {anchor.subject} {ended}")
    elif window.not_before > anchor.not_after or window.not_after <= anchor.not_before:
        own = f"{instant(anchor.not_before)} to {instant(anchor.not_after)}"
        desk.warn(at, f"{file}: anchor {anchor.subject} is trusted {window}, but valid {own}: it never admits anybody")


def _worry_about_gap(windows: Sequence[Window], at: KeyPath, desk: Desk, now: float) -> None:
    gap = first_gap(windows, now)
    if gap is None:
        return
    end = "" if gap.not_after == inf else f" until {instant(gap.not_after)}"
    begin = "now" if gap.not_before <= now else f"from {instant(gap.not_before)} on"
    desk.warn(at, f"{begin}{end} no anchor of this bundle is in its window: it admits nobody then")
