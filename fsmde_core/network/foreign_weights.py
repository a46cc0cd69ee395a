"""Weights that other people's programs wrote: what kind of file it is, and the tensors in it.

The kind is told by what the file holds, not by its name. Nothing in it is ever run.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fsmde_core.card import ModelError

POINTER = b"version https://git-lfs"
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "params")
"""Keys under which training programs keep the weights, the first that is there, among others."""
ANYWHERE = ("module", "_orig_mod")
"""What DataParallel and torch.compile put into names, at whatever depth."""


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a .pth, .pt, .bin or .safetensors file by name, on the CPU.

    Taken out of {"model": ...} and the like; names without `module.` and `_orig_mod.`. ModelError
    says in one sentence what a file is
    that holds none: missing, a Git LFS pointer, half a download, a web page, an archive, or objects
    that would have to be run.
    """
    return _plain_names(_unwrapped(read_document(path), Path(path)))


def read_document(path: Path | str) -> object:
    """What a file of torch.save or safetensors holds, nothing of it run; ModelError as
    read_weights."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
        return _document(path, head)
    except OSError as error:
        raise ModelError(f"checkpoint {path}: {error.strerror or error}") from error


def _document(path: Path, head: bytes) -> object:
    start = head.lstrip().lower()
    if not head:
        raise ModelError(f"checkpoint {path} is empty: the download did not begin")
    if start.startswith(POINTER):
        raise ModelError(
            f"checkpoint {path} is a Git LFS pointer, not the weights: git lfs pull fetches them"
        )
    if start.startswith(b"<"):
        raise ModelError(f"checkpoint {path} is a web page, not weights: download the file itself")
    if start.startswith((b"{", b"[")):
        raise ModelError(f"checkpoint {path} is JSON, not weights: these stand in another file")
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        raise ModelError(f"checkpoint {path} is an archive: unpack it")
    if head.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(path):  # its list of contents stands at the end
            raise ModelError(f"checkpoint {path} ends too early: half a download")
        try:
            with zipfile.ZipFile(path) as archive:
                if not any(name.endswith("data.pkl") for name in archive.namelist()):
                    raise ModelError(f"checkpoint {path} is an archive: unpack it")
                _check_sums(archive)
        except zipfile.BadZipFile as error:
            raise ModelError(f"checkpoint {path} is damaged: {error}") from error
        return _pickled(path)
    if head.startswith(b"\x80"):  # of torch before 1.6
        return _pickled(path)
    if head[8:9] == b"{":
        return _safetensors(path, head)
    raise ModelError(f"checkpoint {path} is neither safetensors nor a file of torch.save")


def _check_sums(archive: zipfile.ZipFile) -> None:
    """BadZipFile where bytes changed since torch.save, which torch.load does not look for."""
    for record in archive.infolist():
        if record.CRC:  # 0 where torch.save was told to leave it out
            with archive.open(record) as file:
                while file.read(1 << 20):
                    pass


def _safetensors(path: Path, head: bytes) -> dict[str, Tensor]:
    size, header_size = path.stat().st_size, int.from_bytes(head[:8], "little")
    try:
        with path.open("rb") as file:
            header = file.read(8 + header_size)[8:] if 8 + header_size <= size else b""
        entries = json.loads(header).items() if header else []
        ends = [entry["data_offsets"][1] for name, entry in entries if name != "__metadata__"]
        whole = 8 + header_size + max(ends, default=0)
        if whole <= size:
            return load_file(path)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"checkpoint {path} is damaged: {reason}") from error
    of = f" of {whole:,}" if header else ""
    raise ModelError(f"checkpoint {path} ends too early: half a download, {size:,} bytes{of}")


def _pickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except EOFError as error:
        raise ModelError(f"checkpoint {path} ends too early: half a download") from error
    except OSError:
        raise
    except Exception as error:  # whatever broken bytes lead to; what torch advises runs the file
        text = str(error)
        if any(words in text for words in ("end of file", "unexpected EOF", "truncated")):
            raise ModelError(f"checkpoint {path} ends too early: half a download") from error
        if isinstance(error, RuntimeError) and "TorchScript" not in text:
            raise ModelError(f"checkpoint {path} is damaged") from error
        raise ModelError(
            f"checkpoint {path} holds Python objects besides tensors, which could run anything, or "
            "is damaged; whoever wrote it should save its state_dict alone, best as safetensors"
        ) from error


def _unwrapped(document: object, path: Path) -> dict[str, Tensor]:
    """The innermost mapping from names to tensors; ModelError if there is none, or which it is is
    not said."""
    while isinstance(document, dict):
        inner = [key for key in WRAPPERS if isinstance(document.get(key), dict)][:1]
        inner = inner or [key for key, value in document.items() if _holds_tensors(value)]
        if not inner:
            pairs = document.items()
            weights = {n: t for n, t in pairs if isinstance(n, str) and isinstance(t, Tensor)}
            if weights:
                return weights
            break
        if len(inner) > 1:
            names = ", ".join(map(repr, inner))
            raise ModelError(
                f"checkpoint {path} holds several networks, {names}: save one of them alone"
            )
        document = document[inner[0]]
    raise ModelError(f"checkpoint {path} holds no tensors by name")


def _holds_tensors(document: object) -> bool:
    """Whether it is a mapping with tensors by name, at whatever depth."""
    return isinstance(document, dict) and any(
        isinstance(name, str) and (isinstance(value, Tensor) or _holds_tensors(value))
        for name, value in document.items()
    )


def _plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put into names, and without single numbers, which count steps."""
    plain = {}
    for name, tensor in weights.items():
        if tensor.dim():
            parts = [part for part in name.split(".") if part not in ANYWHERE]
            plain[".".join(parts)] = tensor
    return plain
