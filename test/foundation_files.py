"""Foundation models' files as other programs write them, for tests."""

import re
import zipfile

import torch


def wavy(network, *, without=()):
    """Made-up weights that other code can make as well, by the order of the official names."""
    named = [(n, p) for n, p in network.named_parameters() if not n.startswith(tuple(without))]
    with torch.no_grad():
        for i, (_, p) in enumerate(sorted(named, key=lambda pair: pair[0])):
            wave = torch.sin(0.7 * torch.arange(p.numel()) + i)
            fan_in = max(1, p[0].numel())
            p.copy_((wave * (2 / fan_in) ** 0.5 if p.dim() > 1 else 0.2 + 0.1 * wave).view_as(p))
    return network.eval()


def as_transformers(weights):
    """Official names as DepthAnythingForDepthEstimation has them, qkv in three."""
    renamed = {}
    for name, tensor in weights.items():
        name = name.replace("pretrained.blocks.", "backbone.encoder.layer.")
        name = re.sub(r"\.ls(\d)\.gamma", r".layer_scale\1.lambda1", name)
        name = name.replace(".attn.proj.", ".attention.output.dense.")
        name = name.replace("pretrained.norm.", "backbone.layernorm.")
        name = name.replace("pretrained.pos_embed", "backbone.embeddings.position_embeddings")
        name = name.replace("patch_embed.proj.", "patch_embeddings.projection.")
        name = name.replace("pretrained.", "backbone.embeddings.")
        name = re.sub(
            r"depth_head.projects.(\d)", r"neck.reassemble_stage.layers.\1.projection", name
        )
        name = re.sub(
            r"depth_head.resize_layers.(\d)", r"neck.reassemble_stage.layers.\1.resize", name
        )
        name = name.replace("depth_head.scratch.output_conv1", "head.conv1")
        name = name.replace("depth_head.scratch.output_conv2.0", "head.conv2")
        name = name.replace("depth_head.scratch.output_conv2.2", "head.conv3")
        for i in range(4):
            name = name.replace(f"depth_head.scratch.layer{i + 1}_rn", f"neck.convs.{i}")
            name = name.replace(
                f"depth_head.scratch.refinenet{4 - i}", f"neck.fusion_stage.layers.{i}"
            )
        name = re.sub(r"resConfUnit(\d).conv(\d)", r"residual_layer\1.convolution\2", name)
        name = name.replace("out_conv", "projection")
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), tensor.chunk(3)):
                renamed[name.replace("attn.qkv", f"attention.attention.{part}")] = third.clone()
        else:
            renamed[name] = tensor.clone()
    return renamed


def as_version_3(weights):
    """Names in DA3MONO-LARGE's and DA3METRIC-LARGE's files, without what these lack."""
    renamed = {}
    for name, tensor in weights.items():
        if "mask_token" not in name and "refinenet4.resConfUnit1" not in name:
            name = name.replace("pretrained.", "model.backbone.pretrained.")
            renamed[name.replace("depth_head.", "model.head.")] = tensor.clone()
    return renamed


def _under_model(weights):
    return {"model": weights, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}}


def _lightning(weights):
    return {"state_dict": {f"model.{n}": w for n, w in weights.items()}, "global_step": 7}


def _parallel(weights):
    return {f"module.{n}": w for n, w in weights.items()}


def _compiled(weights):
    return {f"_orig_mod.{n}": w for n, w in weights.items()}


def _all_of_them(weights):
    return {"model": {f"module._orig_mod.{n}": w for n, w in weights.items()}}


def _inside(weights):
    """The transformer alone was compiled."""
    return {n.replace("pretrained.", "pretrained._orig_mod."): w for n, w in weights.items()}


def _averaged(weights):
    return {"ema": {"module": weights}, "epoch": 3, "args": {"lr": 1e-3}}


def _part_of_another(weights):
    return {f"teacher.depth_anything.{n}": w for n, w in weights.items()}


def _with_its_loss(weights):
    """Lightning again: the loss's own tensors stand beside the network's."""
    inside = {f"net.{n}": w for n, w in weights.items()}
    return {"state_dict": {**inside, "loss.weight": torch.ones(3)}}


def _counted(weights):
    """torch.optim.swa_utils.AveragedModel."""
    return {"n_averaged": torch.tensor(4), **{f"module.{n}": w for n, w in weights.items()}}


def _followed(weights):
    """An average with its decay beside it."""
    return {"ema": {"decay": torch.tensor(0.99), "shadow": weights}}


WRAPPED = [
    _under_model, _lightning, _parallel, _compiled, _all_of_them, _inside, _averaged,
    _part_of_another, _with_its_loss, _counted, _followed,
]  # fmt: skip


def _cut(name, share, **options):
    def cut(saved):
        path = saved(name)
        if options:
            torch.save(torch.load(path), path, **options)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        return path

    return cut


def _holding(content):
    def hold(saved):
        path = saved("file.pth")
        path.write_bytes(content)
        return path

    return hold


def _filled_with_zeros(saved):
    """As programs leave a file that take its whole size before they download."""
    path = saved("file.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2].ljust(len(whole), b"\0"))
    return path


def _packed(saved):
    path = saved("file.pth")
    with zipfile.ZipFile(path.with_name("file.zip"), "w") as archive:
        archive.write(path, path.name)
    return path.with_name("file.zip")


def _two_networks(saved):
    path = saved("file.pth")
    weights = torch.load(path)
    torch.save({"student": weights, "teacher": weights}, path)
    return path


def _two_by_name(saved):
    path = saved("file.pth")
    weights = torch.load(path)
    both = {f"{part}_model.{n}": w for part in ("online", "ema") for n, w in weights.items()}
    torch.save({**both, "initted": torch.tensor(True)}, path)
    return path


def _changed_bytes(saved):
    """What a disk or a transfer made of it; torch.load does not look."""
    path = saved("file.pth")
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2] ^= 0x55
    path.write_bytes(content)
    return path


def _hollow(name, start):
    """Its size was taken before the download, which ended early."""

    def hollow(saved):
        path = saved(name)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(start * len(whole))].ljust(len(whole), b"\0"))
        return path

    return hollow


def _with(tensor):
    def other(saved):
        path = saved("file.pth")
        torch.save({**torch.load(path), "pretrained.norm.weight": tensor}, path)
        return path

    return other


def _overflown(saved):
    path = saved("file.pth")
    weights = torch.load(path)
    weights["pretrained.norm.bias"][0] = torch.inf
    torch.save(weights, path)
    return path


def _list_of_tensors(saved):
    path = saved("file.pth")
    torch.save([torch.zeros(2)], path)
    return path


HALF = "ends too early: half a download"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 99173660\n"
HALF_A_FILE = [
    (_cut("file.pth", 0.5), HALF),
    (_cut("file.pth", 0.999), HALF),
    (_cut("file.pth", 0.5, _use_new_zipfile_serialization=False), HALF),
    (_cut("file.safetensors", 0.5), HALF + ", [0-9,]+ bytes of [0-9,]+$"),
    (_cut("file.safetensors", 0.02), HALF),
    (_filled_with_zeros, HALF),
    (_holding(LFS), "is a Git LFS pointer, not the weights: git lfs pull"),
    (_holding(b"\n" + LFS.replace(b"\n", b"\r\n")), "is a Git LFS pointer, not the weights"),
    (_holding(b""), "is empty"),
    (_holding(b"<!DOCTYPE html><html>Sign in"), "is a web page"),
    (_holding(b"\n<!-- moved --><html>"), "is a web page"),
    (_holding(b'{"weight_map": {"a": "model-00001.safetensors"}}'), "is JSON, not weights"),
    (_holding(b"\x1f\x8b\x08\x00"), "is an archive: unpack it"),
    (_packed, "is an archive: unpack it"),
    (_two_networks, "holds several networks, 'student', 'teacher': save one of them alone"),
    (_two_by_name, "holds several networks, 'online_model', 'ema_model': save one of them alone"),
    (_changed_bytes, "is damaged: Bad CRC-32"),
    (_hollow("file.safetensors", 0.5), "has nothing but zeros in .*: half a download"),
    (_hollow("file.safetensors", 0.2), "has nothing but zeros in .*: half a download"),
    (_with(torch.zeros(32).to_sparse()), "is no Depth Anything vits: .* shape: pretrained.norm.w"),
    (_with(torch.zeros(32, device="meta")), "is no Depth Anything vits: .*: pretrained.norm.w"),
    (_with(torch.tensor(1.0)), "is no Depth Anything vits: it lacks pretrained.norm.weight"),
    (_overflown, "has values that are not finite in pretrained.norm.bias"),
    (_holding(b"hello, world, this is text"), "is neither safetensors nor a file of torch.save"),
    (_holding(b"\x80\x02garbage"), "holds Python objects .*, or is damaged"),
    (_list_of_tensors, "holds no tensors by name"),
]
