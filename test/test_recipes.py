"""docs/recipes: short, and whatever of ours they set or remap exists."""

import re

import pytest
import yaml
from conftest import ROOT

from fsmde_ros.answers import camera_topics, obstacle_topics
from fsmde_ros.params import NodeParams

PAGES = sorted((ROOT / "docs" / "recipes").glob("*.md"))
EVERYTHING = NodeParams(
    publish_color=True, publish_confidence=True, publish_camera_points=True, publish_scan=True,
    publish_grid=True, depth_compressed=True,
)  # fmt: skip


def ours(text):
    """The parameters of this node that a page sets in a command, a launch file or YAML."""
    for command in re.findall(r"ros2 run fsmde_ros .*?(?=\nros2|\n```)", text, re.S):
        yield from re.findall(r"-p \"?(\w+):=", command)
    for node in re.findall(r'<node pkg="fsmde_ros".*?</node>', text, re.S):
        yield from re.findall(r'<param name="(\w+)"', node)
    for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
        yield from yaml.safe_load(block)["surround_depth"]["ros__parameters"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_recipe_is_short_and_names_what_there_is(page):
    text = page.read_text()
    assert text.count("\n") <= 30
    unknown = set(ours(text)) - set(NodeParams.__dataclass_fields__)
    assert not unknown
    remaps = re.findall(r"(?:front|left|back)/((?:depth|color|points)[/\w]*)", text)
    offered = {*camera_topics(EVERYTHING), *obstacle_topics(EVERYTHING)}
    assert set(remaps) <= offered, page
    assert page.stem == "README" or re.search(r"Sources?: [\w-]+/[\w-]+ [0-9a-f]{7}", text)


def test_every_recipe_is_in_the_list():
    listed = re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "recipes" / "README.md").read_text())
    assert sorted(listed) == sorted(page.name for page in PAGES if page.stem != "README")
    assert any(ours(page.read_text()) for page in PAGES)
