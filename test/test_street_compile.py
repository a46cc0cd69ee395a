"""What is said before the renderer is compiled."""

from numba import config

from fsmde_core.street.compile import announce_compiling


def test_a_first_run_says_that_it_compiles(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    announce_compiling()
    assert "compiling the renderer first" in capsys.readouterr().err
    (tmp_path / "street").mkdir()
    (tmp_path / "street" / "tracer.trace.1.nbc").touch()
    announce_compiling()
    assert capsys.readouterr().err == ""
