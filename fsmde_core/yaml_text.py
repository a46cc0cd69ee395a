"""YAML as whoever wrote it meant it: no key twice, and numbers are decimal.

YAML 1.1 takes the last of two equal keys without a word, 010 for 8, 1:30 for 90, and what looks
like a date for one.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

INTEGER, TIMESTAMP, MERGED = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "timestamp", "merge"))
DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$")


class YamlError(ValueError):
    """A text that is no YAML, or has a key twice; the message is one line."""


class _Loader(yaml.SafeLoader):
    """Other integers than decimal ones, and dates, are texts."""

    yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] not in (INTEGER, TIMESTAMP)]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key.value, str) and key.tag != MERGED:
                line = key.start_mark.line + 1
                if key.value in lines:
                    first = lines[key.value]
                    raise YamlError(f"has key {key.value!r} twice, in lines {first} and {line}")
                lines[key.value] = line
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(INTEGER, DECIMAL, list("-+0123456789"))


def load_yaml(text: str | bytes) -> Any:
    """What a YAML text, bytes in UTF-8, holds, as yaml.safe_load but for the above."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        return yaml.load(text, _Loader)  # a SafeLoader
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(f"is not YAML: {' '.join(str(error).split())}") from error
