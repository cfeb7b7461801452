"""Part: what the models of all parts of the configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Keyword-only, frozen, strict, and silent about values (they may hold secrets)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
