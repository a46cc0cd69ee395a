"""Which of a camera's transports the node listens to: raw images, or compressed ones."""

from __future__ import annotations

import re

COMPRESSED_NAME = re.compile(r"(^|_|/)compressed$")


def names_compressed(topic: str) -> bool:
    """Whether a topic's name says that it carries CompressedImage, as image_rect_compressed."""
    return bool(COMPRESSED_NAME.search(topic))
