"""Dataclasses with values out of YAML, held to their annotations by pydantic."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as validated

from fsmde_core.yaml_text import YamlError, load_yaml

NUMBERS_IN_YAML = {
    "float_type": "with a point and a signed exponent, as 1.0e-4, it would be a number",
    "int_type": "whole numbers are digits alone, without a 0 before them",
}


class ConfigError(ValueError):
    """A config that cannot be used; the message names the file and the key."""


def configured(base: Any, document: dict, *, where: str = "") -> Any:
    """The dataclass instance `base` with the values of a mapping, nested ones alike.

    ConfigError names an unknown key with its path, or a value that its annotation rules out.
    """
    values = {f.name: getattr(base, f.name) for f in fields(base)}
    for key, value in document.items():
        if key not in values:
            raise ConfigError(f"unknown key {where + str(key)!r}; known: {', '.join(values)}")
        old = values[key]
        if is_dataclass(old):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}{key} is {value!r}, not a mapping")
            values[key] = configured(old, value, where=f"{where}{key}.")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value  # YAML has no tuples
    try:
        checked = _checked(type(base))(**values)
    except ValidationError as error:
        raise ConfigError(where + _sentence(error)) from error
    return type(base)(**{name: getattr(checked, name) for name in values})


@cache
def _checked(kind: type) -> type:
    """The same dataclass, but one that takes only what its annotations say."""
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    return validated(kind, frozen=True, config=strict)


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong: where, what is there, and what should be."""
    first = error.errors(include_url=False)[0]
    key, *places = first["loc"]
    key = "".join([key, *(f"[{place}]" for place in places)])
    value, reason = first["input"], first["msg"].removeprefix("Input ")
    if isinstance(value, str) and _is_number(value) and first["type"] in NUMBERS_IN_YAML:
        reason = f"to YAML that is a text; {NUMBERS_IN_YAML[first['type']]}"
    value = list(value) if isinstance(value, tuple) else value
    return f"{key} is {value!r}: {reason[0].lower()}{reason[1:]}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def overridden(document: dict, override: str) -> None:
    """Set one KEY=VALUE, the key's parts separated by dots."""
    path, equals, text = override.partition("=")
    *parts, last = path.split(".")
    if not equals or not last:
        raise ConfigError(f"override {override!r} is not of the form key=value")
    for part in parts:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise ConfigError(f"override {override!r}: {part} has no keys of its own")
    try:
        document[last] = load_yaml(text) if text else ""
    except YamlError as error:
        raise ConfigError(f"override {override!r} has no YAML value") from error
