"""What people bring: drives of their own with files missing, and what their models owe to whom."""

import json
import shutil

import pytest
from conftest import ROOT, SHARED

from fsmde_core.data.nuscenes import read_keyframes, version_in
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill import train
from fsmde_core.distill.config import ConfigError, load_config
from fsmde_core.distill.faulty import PassedOver
from fsmde_core.distill.main import main as distill_main
from fsmde_core.distill.origin import licence_of

CONFIGS = ROOT / "config" / "distill"
SMALL = [
    "student.input_width=64", "student.input_height=32", "augment.aspects=[0,0]", "steps=2",
    "augment.pixels=[1,1]", "rigs_per_step=1", "data.size=[128,72]", "precision=32-true",
]  # fmt: skip


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """Nine keyframes of PandaSet in nuScenes' format, whose scene is in none of its splits."""
    if not (SHARED / "pandaset_drive").is_dir():
        pytest.skip("../shared/data/pandaset_drive is not here")
    monkeypatch.setattr(train, "export_onnx", lambda student, config, path: path.write_bytes(b""))
    root = tmp_path / "drive"
    root.mkdir()
    for part in (SHARED / "pandaset_drive").iterdir():
        (root / part.name).symlink_to(part)
    return root


def without(root, *files):
    """The root with its samples linked one by one, and these of them taken away."""
    folder = (root / "samples").resolve()
    (root / "samples").unlink()
    shutil.copytree(folder, root / "samples", copy_function=lambda a, b: (root / b).symlink_to(a))
    for file in files:
        file.unlink()


def fine_tuned(root, out, *overrides):
    command = [
        "--config",
        str(CONFIGS / "fine_tune_nuscenes.yaml"),
        "--out",
        str(out),
        f"data.train={root}",
    ]
    command += ["data.train_split=all", f"initial={ROOT / 'models' / 'student_s.json'}"]
    return distill_main([*command, "--accelerator", "cpu", "data.workers=0", *SMALL, *overrides])


def test_the_shipped_model_goes_on_with_a_drive_of_ones_own(drive, tmp_path, capsys):
    first = ("--until", "1", "data.skip_faulty=false")
    assert fine_tuned(drive, tmp_path / "out", *first) == 0
    assert "no validation: " in capsys.readouterr().err
    assert fine_tuned(drive, tmp_path / "out") == 0
    assert "goes on at step 1" in capsys.readouterr().out
    card = json.loads((tmp_path / "out" / "student_fine_tuned.json").read_text())
    assert card["provisional"] is False and card["made_from"]["initial"]["name"] == "student_s"
    assert card["licence"] == "CC-BY-NC-SA-4.0"  # of nuScenes' format, unless told otherwise
    assert (tmp_path / "out" / "student_fine_tuned.onnx").is_file()


def test_scenes_in_no_split_are_named_with_the_split_that_takes_them(drive):
    assert version_in(drive) == "v1.0-mini"
    with pytest.raises(DatasetError, match="there are pandaset-002.*; the split 'all' takes every"):
        read_keyframes(drive, "v1.0-mini", split="mini_train")


def test_samples_with_missing_files_are_passed_over_named_and_counted(drive, tmp_path, capsys):
    samples = read_keyframes(drive, "v1.0-mini")
    missing = [samples[2].image_files[0], samples[5].lidar.file]
    without(drive, *missing)
    each_once = ("steps=1", "rigs_per_step=9", "augment.keep_cameras=1")
    assert fine_tuned(drive, tmp_path / "out", *each_once) == 0
    said = capsys.readouterr().err
    assert all(said.count(f"{file}: No such file") == 1 for file in missing)
    card = json.loads((tmp_path / "out" / "student_fine_tuned.json").read_text())
    assert "(2 that did not read were passed over)" in card["description"]
    assert fine_tuned(drive, tmp_path / "strict", *each_once, "data.skip_faulty=false") == 2
    assert "No such file" in capsys.readouterr().err


def test_where_no_sample_reads_the_run_ends(drive, tmp_path, capsys):
    table = json.loads((drive / "v1.0-mini" / "sensor.json").read_text())
    for sensor in table:
        sensor["channel"] = sensor["channel"].replace("LIDAR_TOP", "LIDAR_ROOF")
    tables = (drive / "v1.0-mini").resolve()
    (drive / "v1.0-mini").unlink()
    shutil.copytree(tables, drive / "v1.0-mini", copy_function=shutil.copyfile)
    (drive / "v1.0-mini").chmod(0o755)
    (drive / "v1.0-mini" / "sensor.json").write_text(json.dumps(table))
    assert fine_tuned(drive, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "none of 9 samples reads; " in said
    assert "no sweep of LIDAR_TOP; LiDAR channels of" in said and said.endswith("LIDAR_ROOF")


class Readable(list):
    """Samples of which those that are None do not read."""

    def __getitem__(self, i):
        value = super().__getitem__(i)
        if value is None:
            raise DatasetError(f"sample {i} does not read")
        return value


def test_what_takes_the_place_of_a_faulty_sample_is_always_the_same():
    samples = Readable([None, "b", "c", None])
    known = PassedOver(samples)
    assert [known[i] for i in range(4)] == ["b", "b", "c", "b"] and known.faulty == 2
    assert [PassedOver(samples)[i] for i in range(4)] == [known[i] for i in range(4)]
    nothing = PassedOver(Readable([None, None]))
    for last in ("sample 1 does not read", "all are passed over"):
        with pytest.raises(DatasetError, match=f"none of 2 samples reads; {last}"):
            nothing[0]


def test_a_street_has_nothing_to_pass_over(tmp_path):
    overrides = ["data.skip_faulty=true", f"data.train={tmp_path}"]
    with pytest.raises(ConfigError, match="data.skip_faulty is for recorded data"):
        load_config(CONFIGS / "street.yaml", [*overrides, "method=supervised"])


@pytest.mark.parametrize(
    "size, variant, licence",
    [
        ("vits", "", "Apache-2.0"),
        ("vits", "metric", "Apache-2.0"),
        ("vitb", "relative", "CC-BY-NC-4.0"),
        ("vitl", "metric", "CC-BY-NC-4.0"),
        ("vitl", "da3_mono", "Apache-2.0"),
        ("vitl", "da3_metric", "Apache-2.0"),
    ],
)
def test_what_a_teacher_owes_to_its_foundation_model(tmp_path, size, variant, licence):
    config = load_config(
        CONFIGS / "teacher_vits.yaml",
        [f"data.train={tmp_path}", f"foundation.size={size}", f"foundation.variant={variant}"],
    )
    assert licence_of(config) == licence
