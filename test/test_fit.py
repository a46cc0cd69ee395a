import json

from fsmde_core import fit
from fsmde_core.checkpoint import load_student
from fsmde_core.student import StudentConfig


def test_a_short_fit_writes_a_provisional_model(ddad_scene, tmp_path, monkeypatch):
    small = StudentConfig(input_width=96, input_height=64, n_bins=8, decoder_channels=16)
    monkeypatch.setitem(fit.PRESETS, "s", small)
    out = tmp_path / "tiny.json"
    assert fit.main(["--ddad", str(ddad_scene), "--out", str(out), "--steps", "4"]) == 0
    card = json.loads(out.read_text())
    assert card["provisional"] is True
    assert "9 images of one DDAD scene (MIT), 4 steps" in card["description"]
    assert load_student(out).head.log_min < 0


def test_the_same_seed_gives_the_same_losses(ddad_scene):
    small = StudentConfig(input_width=96, input_height=64, n_bins=8, decoder_channels=16)
    samples = [fit.LoadedSample(sample) for sample in fit.read_scene(ddad_scene)[:1]]
    runs = [fit.fit(samples, small, fit.FitConfig(steps=3))[1] for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_scene_that_is_not_there_is_one_sentence(tmp_path, capsys):
    arguments = ["--ddad", str(tmp_path / "scene.json"), "--out", str(tmp_path / "x.json")]
    assert fit.main(arguments) == 2
    assert "scene.json: No such file" in capsys.readouterr().err
