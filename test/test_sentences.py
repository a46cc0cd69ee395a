"""docs/interface.md has every sentence of the status, with what to do about it."""

import ast
import re

import pytest
from conftest import ROOT

SAYS = """
sync/report.py sync/slower_clock.py diagnostics/statistics.py diagnostics/reporter.py
diagnostics/qos.py calibration.py camera_info.py decode.py doubts.py ego_motion.py pipeline.py
""".split()
SHORT = 8  # letters; less is no sentence, but joins others
NO_SENTENCE = re.compile(
    r"\[(Hz|ms)\]|^images? (dropped|left out)|tf2_ros|^optical axes|^no full set|^the (rig|mess)"
)
TABLE = (ROOT / "docs" / "interface.md").read_text().split("\n## What the status says\n")[1]


def texts(tree):
    """Every text of a module with {} for what is filled in; docstrings and parts of texts aside."""
    aside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            aside |= {id(part) for part in ast.walk(node) if part is not node}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            aside.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in aside:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("module", SAYS)
def test_every_sentence_of_the_status_is_in_the_table(module):
    found = texts(ast.parse((ROOT / "fsmde_ros" / module).read_text()))
    sentences = [t for t in found if t.count(" ") >= 2 and not NO_SENTENCE.search(t)]
    missing = []
    for sentence in sentences:
        parts = [part.strip() for part in re.split(r"\{\}|[:;,([]", sentence)]
        longest = sorted(parts, key=len)[-2:]
        if len(longest[-1]) > SHORT and not any(
            len(part) > SHORT and part in TABLE for part in longest
        ):
            missing.append(sentence)
    assert sentences and not missing
