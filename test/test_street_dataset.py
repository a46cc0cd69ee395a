"""Street samples for training: on the fly and kept on disk."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fsmde_core import files
from fsmde_core.data.sample import DatasetError
from fsmde_core.street import cache, sample_file, shards
from fsmde_core.street.cache import CachedStreet
from fsmde_core.street.dataset import StreetDataset, StreetDatasetConfig

SMALL = StreetDatasetConfig(rigs=("nuscenes", "random"), size=(64, 36), poses=2)


def test_samples_on_the_fly():
    data = StreetDataset("val", 1, SMALL)
    sample, other = data[0], data[1]
    cameras = len(sample.names)
    assert len(data) == 2
    assert sample.images.shape == (cameras, 36, 64, 3)
    assert sample.depth_gt.shape == sample.valid.shape == sample.mask.shape == (cameras, 36, 64)
    assert not (sample.valid & sample.mask).any()
    assert (sample.depth_gt[~sample.valid] == 0).all()
    assert other.stamps_ns[0] > sample.stamps_ns[0]
    assert sample.tokens != other.tokens


def test_streets_take_the_rigs_in_turn():
    data = StreetDataset("train", 4, SMALL)
    assert data.rig(0).names == data.rig(1).names == data.rig(4).names
    assert data.rig(2).names[0] == "CAM_0"


@pytest.mark.parametrize("split, streets", [("exam", 1), ("val", 0), ("val", 10_001)])
def test_what_is_no_split(split, streets):
    with pytest.raises(ValueError, match="split"):
        StreetDataset(split, streets)
    with pytest.raises(ValueError, match="2 from 9999 on"):
        StreetDataset("val", 2, first=9_999)


def test_a_street_is_the_same_from_wherever_one_starts():
    config = replace(SMALL, rigs=("nuscenes", "random", "varied"))
    whole, part = StreetDataset("train", 8, config), StreetDataset("train", 3, config, first=5)
    assert part.tokens == whole.tokens[10:]
    for index in range(0, 6, 2):
        np.testing.assert_array_equal(part.rig(index).K, whole.rig(10 + index).K)


def test_images_may_keep_the_shape_of_the_rigs_own():
    config = StreetDatasetConfig(rigs=("world",), size=(512, 288), keep_aspect=True)
    data = StreetDataset("train", 30, config)
    cameras = [data.rig(4 * street).cameras[0] for street in range(30)]
    for camera in cameras:
        assert camera.width * camera.height == pytest.approx(512 * 288, rel=0.02)
        assert camera.K[0, 0] == pytest.approx(camera.K[1, 1], rel=0.02)
    assert len({camera.width for camera in cameras}) > 10
    with pytest.raises(ValueError, match="exclude each other"):
        StreetDatasetConfig(square=True, keep_aspect=True)


def test_kept_samples_are_the_same(tmp_path):
    arguments = "--split val --streets 1 --poses 2 --rigs nuscenes random --width 64 --height 36"
    assert cache.main([*arguments.split(), "--out", str(tmp_path)]) == 0
    kept, fresh = (
        CachedStreet(StreetDataset("val", 1, SMALL), tmp_path),
        StreetDataset("val", 1, SMALL),
    )
    assert kept.cached() == [0, 1]
    for index in range(2):
        ours, theirs = kept[index], fresh[index]
        np.testing.assert_allclose(ours.depth_gt, theirs.depth_gt, rtol=2.1e-3)
        np.testing.assert_array_equal(ours.valid, theirs.valid)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        np.testing.assert_array_equal(ours.K, theirs.K)
        np.testing.assert_array_equal(ours.images, theirs.images)
        assert (ours.stamps_ns, ours.tokens) == (theirs.stamps_ns, theirs.tokens)


def test_returns_are_kept_and_images_may_be_smaller(tmp_path):
    street = StreetDataset("val", 1, replace(SMALL, poses=1))
    recorded = street.recorded(0)
    sizes = []
    for quality in (None, 50):
        folder = tmp_path / str(quality)
        kept = CachedStreet(street, folder, lidar=True, image_quality=quality)
        np.testing.assert_allclose(kept[0].depth_gt, recorded.returns, atol=0.0051)
        np.testing.assert_array_equal(kept[0].valid, recorded.returns > 0)
        assert np.abs(kept[0].images.astype(int) - recorded.sample.images).mean() < 8
        sizes.append(kept.file(0).stat().st_size)
    assert sizes[1] < sizes[0]


def test_every_depth_is_kept_within_a_fifth_of_a_percent(tmp_path):
    street = StreetDataset("val", 1, replace(SMALL, poses=1))
    recorded = street.recorded(0)
    metres = np.geomspace(0.06, 9e3, recorded.sample.depth_gt.size).astype(np.float32)
    metres = metres.reshape(recorded.sample.depth_gt.shape)
    sample = replace(recorded.sample, depth_gt=metres)
    arrays = sample_file.packed(replace(recorded, sample=sample))
    np.testing.assert_allclose(sample_file.depth(arrays), metres, rtol=2.1e-3)


def test_samples_of_an_earlier_version_still_read(tmp_path):
    street = StreetDataset("val", 1, replace(SMALL, poses=1))
    recorded, kept = street.recorded(0), CachedStreet(street, tmp_path)
    jpegs = [np.frombuffer(jpeg, np.uint8) for jpeg in recorded.jpegs]
    sample, returns = recorded.sample, recorded.returns
    old = {
        "jpeg": np.concatenate(jpegs),
        "jpeg_sizes": np.array([len(jpeg) for jpeg in jpegs]),
        "depth": sample.depth_gt.astype(np.float16),
        "mask": np.packbits(sample.mask),
        "stamps_ns": np.array(sample.stamps_ns, np.int64),
    }
    files.write_arrays(kept.file(0), **old)
    assert not kept.complete(0)
    np.testing.assert_array_equal(kept[0].images, sample.images)
    np.testing.assert_allclose(kept[0].depth_gt, sample.depth_gt, rtol=5e-4)
    with pytest.raises(DatasetError, match="holds no LiDAR returns"):
        CachedStreet(street, tmp_path, lidar=True)[0]
    old["return_pixels"] = np.flatnonzero(returns).astype(np.int32)
    old["return_depth"] = returns[returns > 0]
    files.write_arrays(kept.file(0), **old)
    assert kept.complete(0)
    np.testing.assert_array_equal(CachedStreet(street, tmp_path, lidar=True)[0].depth_gt, returns)


def test_a_packed_folder_reads_as_before_and_grows(tmp_path, capsys):
    config = StreetDatasetConfig(size=(32, 18), poses=1)
    kept = CachedStreet(StreetDataset("val", 3, config), tmp_path)
    before = [kept[i] for i in range(3)]
    assert shards.main([str(tmp_path), "--samples", "2"]) == 0
    assert "3 samples packed" in capsys.readouterr().out
    assert not [*tmp_path.glob("*.npz")] and len([*tmp_path.glob("*.tar")]) == 2
    packed, there = cache.open_cache(tmp_path, lidar=True)
    assert there == [0, 1, 2] and all(packed.complete(i) for i in there)
    packed, _ = cache.open_cache(tmp_path)
    for ours, theirs in zip((packed[i] for i in there), before):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.depth_gt, theirs.depth_gt)
    CachedStreet(StreetDataset("val", 4, config), tmp_path)[3]
    assert [f.name for f in tmp_path.glob("*.npz")] == ["street-1000003-0.npz"]
    assert cache.open_cache(tmp_path)[1] == [0, 1, 2, 3]


def test_a_truncated_shard_is_named(tmp_path):
    kept = CachedStreet(StreetDataset("val", 1, replace(SMALL, poses=1)), tmp_path)
    files.write_bytes(kept.file(0), bytes(3000))
    assert shards.pack(tmp_path, 10) == 1
    (shard,) = tmp_path.glob("*.tar")
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=f"shard {shard} does not read"):
        cache.open_cache(tmp_path)
    assert shards.main([str(tmp_path / "elsewhere")]) == 2


def test_machines_share_a_folder(tmp_path):
    small = "--split train --poses 1 --width 32 --height 18 --workers 1 --out".split()
    for first in ("40", "42"):
        assert cache.main([*small, str(tmp_path), "--first", first, "--streets", "2"]) == 0
    samples, there = cache.open_cache(tmp_path)
    assert [samples.street.tokens[i][:14] for i in there] == [
        f"street-00000{k}" for k in range(40, 44)
    ]
    assert cache.main([*small, str(tmp_path), "--streets", "1", "--square"]) == 2
    assert [f.name for f in tmp_path.iterdir() if f.suffix != ".npz"] == [cache.CONFIG_FILE]


def test_a_folder_rendered_by_an_earlier_version_still_opens(tmp_path):
    CachedStreet(StreetDataset("val", 1, SMALL), tmp_path)
    note = tmp_path / cache.CONFIG_FILE
    document = json.loads(note.read_text())
    document["render"]["bounce"] = False
    note.write_text(json.dumps(document))
    assert CachedStreet(StreetDataset("val", 1, SMALL), tmp_path).cached() == []


@pytest.mark.parametrize("number", ["--width 0", "--poses 0", "--samples -1", "--workers 0"])
def test_numbers_that_cannot_be_leave_no_folder(tmp_path, capsys, number):
    arguments = f"--split val --streets 1 {number} --out {tmp_path / 'out'}"
    with pytest.raises(SystemExit, match="2"):
        cache.main(arguments.split())
    assert f"{number.split()[0]}: {number.split()[1]} is not positive" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_config_is_refused(tmp_path):
    CachedStreet(StreetDataset("val", 1, SMALL), tmp_path)
    with pytest.raises(DatasetError, match="another config"):
        CachedStreet(StreetDataset("val", 1, StreetDatasetConfig(size=(96, 64))), tmp_path)


def test_a_truncated_sample_is_named(tmp_path):
    kept = CachedStreet(StreetDataset("val", 1, SMALL), tmp_path)
    kept.file(0).write_bytes(b"PK")
    with pytest.raises(DatasetError, match=str(kept.file(0))):
        kept[0]


def test_a_folder_says_itself_what_it_holds(tmp_path):
    kept = CachedStreet(StreetDataset("val", 2, SMALL), tmp_path)
    kept[3]
    samples, there = cache.open_cache(tmp_path)
    assert there == [3] and samples.street.config == SMALL
    assert samples[3].tokens == "street-1000001-1"
    with pytest.raises(DatasetError, match="holds no rendered street samples"):
        cache.open_cache(tmp_path / "elsewhere")


def test_the_deployed_split_is_rendered_as_a_camera_sees(tmp_path):
    arguments = "--split deployed --streets 1 --first 7 --poses 1 --width 64 --height 36"
    assert cache.main([*arguments.split(), "--out", str(tmp_path)]) == 0
    samples, there = cache.open_cache(tmp_path)
    assert samples.street.split == "deployed"
    assert [samples.street.tokens[i] for i in there] == ["street-1030007-0"]
    render = samples.street.config.render
    assert render.samples == 4 and render.reflections
