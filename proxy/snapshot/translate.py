"""Translation: pydantic's validation errors into problems, in plain sentences and with the line of the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxy.snapshot.config import Config, suggestion, validate
from proxy.snapshot.document import Document
from proxy.snapshot.problems import KeyPath, Problem

_KEY_MARK: Final = "[key]"
"""The last part of pydantic's location where a mapping's key, not its value, is at fault."""

_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "missing": lambda _: "this key is missing",
    "value_error": lambda ctx: str(ctx["error"]),
    "model_type": lambda _: "expected a mapping of keys",
    "mapping_type": lambda _: "expected a mapping of names",
    "tuple_type": lambda _: "expected a list",
    "string_type": lambda _: "expected text; quote it",
    "string_pattern_mismatch": lambda _: (
        "a name has letters, digits, dots, hyphens and underscores, starts with a letter or digit, and has 64 at most"
    ),
    "bool_type": lambda _: "expected true or false",
    "int_type": lambda _: "expected a whole number",
    "literal_error": lambda ctx: f"expected {ctx['expected']}",
    "enum": lambda ctx: f"expected {ctx['expected']}",
    "greater_than": lambda ctx: f"must be more than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"must be {ctx['ge']} at least",
    "less_than_equal": lambda ctx: f"must be {ctx['le']} at most",
}


def read_config(document: Document) -> tuple[Config | None, list[Problem]]:
    """Make the configuration of a document; relative paths start from its folder. None goes with problems."""
    try:
        return validate(document.values, document.file.parent), []
    except ValidationError as fault:
        return None, [_problem(document, error) for error in fault.errors(include_url=False, include_input=False)]


def _problem(document: Document, error: ErrorDetails) -> Problem:
    path: KeyPath = error["loc"]
    if path and path[-1] == _KEY_MARK:
        path = path[:-1]
    if error["type"] == "extra_forbidden":
        return document.problem(path, f"unknown key{suggestion(str(path[-1]), _known_keys(path[:-1]))}")
    sentence = _SENTENCES.get(error["type"])
    return document.problem(path, error["msg"] if sentence is None else sentence(error.get("ctx", {})))


def _known_keys(path: KeyPath) -> Mapping[str, object]:
    """Return the keys of the model at ``path``; parts that are list places or names of a mapping lead nowhere."""
    model: type[BaseModel] = Config
    for part in path:
        found = model.model_fields.get(str(part))
        inner = None if found is None else _model_in(found.annotation)
        model = model if inner is None else inner
    return model.model_fields


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
