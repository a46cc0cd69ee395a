import pytest
from conftest import ROOT

from fsmde_core.bench import gpu
from fsmde_core.runtime.session import CPU

QUICK = ["--provider", CPU, "--sizes", "1", "--seconds", "0", "--rounds", "0"]


@pytest.fixture
def rig_file():
    return ["--rig", str(ROOT / "config" / "rig_nuscenes.yaml")]


def test_it_is_rehearsed_without_a_gpu(untrained, rig_file, tmp_path, capsys):
    options = ["--model", str(untrained), *rig_file, "--out", str(tmp_path)]
    assert gpu.main([*QUICK, *options]) == 0
    written = (tmp_path / "gpu.md").read_text()
    assert all(part in written for part in gpu.PARTS) and "more than" not in written
    assert "fp32 plain" in capsys.readouterr().out


def test_a_part_that_fails_is_named_and_the_others_go_on(
    untrained, rig_file, tmp_path, capsys, monkeypatch
):
    def refused(*_):
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(gpu, "agreement", refused)
    options = ["--model", str(untrained), *rig_file, "--out", str(tmp_path)]
    assert gpu.main([*QUICK, *options]) == 1
    written = (tmp_path / "gpu.md").read_text()
    assert "agreement: CUDA failure 2: out of memory" in written and "images/s" in written
    assert "failed: agreement" in capsys.readouterr().err


def test_without_the_provider_each_part_says_so(untrained, rig_file, tmp_path, capsys):
    options = ["--model", str(untrained), *rig_file, "--out", str(tmp_path)]
    assert gpu.main([*QUICK[2:], *options]) == 1
    assert "CUDAExecutionProvider" in capsys.readouterr().out


def test_a_missing_card_is_one_sentence(rig_file, tmp_path, capsys):
    assert gpu.main(["--model", str(tmp_path / "none.json"), *rig_file]) == 2
    assert "none.json" in capsys.readouterr().err
