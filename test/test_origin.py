"""What a model owes to the data and the models that it was made from."""

from tiny import model

from fsmde_core.distill.config import (
    load_config,
)
from fsmde_core.distill.origin import licence_of


def licence(config_file, street, **changes):
    data = {"train": str(street / "train"), **changes.pop("data", {})}
    return licence_of(load_config(config_file(data=data, **changes)))


def test_data_not_for_commerce_leave_no_licence_for_it(config_file, street):
    """What is said of nuScenes, DDAD and PandaSet: shared/data/README.md, docs/training.md."""
    assert licence(config_file, street) == "Apache-2.0"
    for kind in ("nuscenes", "ddad"):
        assert licence(config_file, street, data={"kind": kind}) == "CC-BY-NC-SA-4.0"
        mixed = {"also": {"kind": kind, "train": "somewhere"}}
        assert licence(config_file, street, **mixed) == "CC-BY-NC-SA-4.0"
    pandaset = {"kind": "nuscenes", "licence": "CC-BY-4.0"}
    assert licence(config_file, street, data=pandaset) == "Apache-2.0"
    mine = {"licence": "MIT", "data": {"licence": "research use only"}}
    assert licence(config_file, street, **mine) == "research use only"


def test_large_foundations_and_their_students_are_not_for_commerce(config_file, street, tmp_path):
    for size, expected in (("vits", "Apache-2.0"), ("vitb", "CC-BY-NC-4.0")):
        foundation = {"checkpoint": "file.pth", "size": size}
        assert licence(config_file, street, foundation=foundation) == expected
    model(tmp_path / "start.json", licence="CC-BY-NC-SA-4.0")
    begun = {"initial": str(tmp_path / "start.json"), "data": {"kind": "nuscenes"}}
    assert licence(config_file, street, **begun) == "CC-BY-NC-SA-4.0"
