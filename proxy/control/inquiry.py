"""Inquiry: the control plane as the data plane asks it, where each kind of need has somebody who meets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.decide.peer.needs import CrlNeed, Need, OcspNeed


class Inquiry:
    """Passes needs on: about certificates to ``responders``, for CRLs to ``crls``. Implements ``ControlPlane``."""

    def __init__(
        self, responders: Callable[[Sequence[OcspNeed]], None], crls: Callable[[Sequence[CrlNeed]], None]
    ) -> None:
        self._responders = responders
        self._crls = crls

    def ask(self, needs: Sequence[Need]) -> None:
        """Fetch what is needed."""
        questions = [need for need in needs if isinstance(need, OcspNeed)]
        lists = [need for need in needs if isinstance(need, CrlNeed)]
        if questions:
            self._responders(questions)
        if lists:
            self._crls(lists)
