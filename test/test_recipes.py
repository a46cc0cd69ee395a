"""docs/recipes: short, and whatever of ours they set or remap exists."""

import re

import pytest
import rclpy
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


def parameter_files():
    """Every YAML block of the documents, and the shipped file, as it is and with all in use."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for n, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)):
            yield pytest.param(block, id=f"{page.stem} {n}")
    shipped = (ROOT / "config" / "surround_depth.yaml").read_text()
    yield pytest.param(shipped, id="shipped")
    yield pytest.param(re.sub(r"(?m)^(  +)# (\w+: )", r"\1\2", shipped), id="shipped, all in use")


@pytest.mark.parametrize("text", parameter_files())
def test_ros_can_read_the_parameters_that_are_shown(text, tmp_path):
    parse(tmp_path / "params.yaml", text)


def test_ros_reads_no_aliases(tmp_path):
    text = "/**: {ros__parameters: {a: &a {b: 1}, c: *a}}"
    with pytest.raises(Exception, match="params.yaml"):
        parse(tmp_path / "params.yaml", text)


def parse(file, text):
    """By rcl's own parser, which is not PyYAML."""
    file.write_text(text)
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", "--params-file", str(file)], context=context)
    context.try_shutdown()


def test_every_recipe_is_in_the_list():
    listed = re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "recipes" / "README.md").read_text())
    assert sorted(listed) == sorted(page.name for page in PAGES if page.stem != "README")
    assert any(ours(page.read_text()) for page in PAGES)
