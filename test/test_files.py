"""A file is there whole or as it was before."""

import subprocess
import sys

import pytest
from conftest import ROOT

from fsmde_core.files import reason, whole_file, writable_folder

FILL_THE_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from fsmde_core.files import write_arrays, write_bytes

# every write beyond 1000 bytes of a file fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for write in (
    lambda: write_bytes(Path(sys.argv[1]), bytes(5000)),
    lambda: write_arrays(Path(sys.argv[2]), depth=np.random.default_rng(0).random(5000)),
):
    try:
        write()
    except OSError as error:
        assert error.filename in sys.argv, error  # Python's own names no file
        continue
    sys.exit("a write beyond the limit went well")
"""


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path):
    pytest.importorskip("resource", reason="file size limits are a Unix matter")
    image, depth = tmp_path / "image.jpg", tmp_path / "depth.npz"
    image.write_bytes(b"old")
    # in a process of its own: the limit would hold for what pytest prints into a file, too
    command = [sys.executable, "-c", FILL_THE_DISK, str(image), str(depth)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert image.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [image]


def test_a_file_that_cannot_be_read_is_not_called_the_one_to_be_written(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, whole_file(tmp_path / "copy") as beside:
        beside.write_bytes((tmp_path / "original").read_bytes())
    assert raised.value.filename == str(tmp_path / "original")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_and_tried(tmp_path):
    writable_folder(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())


@pytest.mark.parametrize("name", ["file", "file/under", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as raised:
        writable_folder(tmp_path / name)
    assert reason(raised.value).startswith(f"{tmp_path / name}: cannot be written to: ")
