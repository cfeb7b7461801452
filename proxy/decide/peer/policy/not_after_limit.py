"""Nobody is admitted any more from a given time on, however long the certificates are valid: a contract's end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar, Final, Self

from proxy.decide.text import printable
from proxy.decide.units import SECONDS
from proxy.decide.verdict import Identity, Reason, Refused

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")


@dataclass(frozen=True, slots=True)
class NotAfterLimit:
    """Admit until ``end`` (Unix seconds), and not from then on; ``text`` is how it was written."""

    key: ClassVar[str] = "not_after_limit"
    end: float
    text: str

    @classmethod
    def from_setting(cls, setting: object, /) -> Self:
        """Make the rule from an ISO 8601 date, which is the last day that is still admitted, or a time (UTC)."""
        # YAML reads an unquoted date as a date: its own ISO form says the same.
        text = setting.isoformat() if isinstance(setting, date) else setting
        if not isinstance(text, str):
            raise ValueError(_hint(text))  # noqa: TRY004 - a wrong setting, not a wrong call
        try:
            return cls(_end(text), text)
        except ValueError as fault:
            raise ValueError(_hint(text)) from fault

    def judge(self, _identity: Identity, now: float, /) -> Refused | None:
        """Refuse everybody from the end on."""
        if now < self.end:
            return None
        return Refused(Reason.CONTRACT_ENDED, f"clients are admitted up to {self.text} (UTC)", 0)

    def expires(self, _identity: Identity, /) -> float:
        """Return the end."""
        return self.end

    def __str__(self) -> str:
        return f"up to {self.text} (UTC)"


def _end(text: str) -> float:
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() + SECONDS["d"]
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _hint(setting: object) -> str:
    form = "a date such as 2027-03-31 (the last day admitted) or a time such as 2027-03-31T12:00Z"
    return f"{printable(ascii(setting), 64)} is not {form}"
