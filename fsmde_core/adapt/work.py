"""The work folder: the drive in it, and whether it is of the same request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fsmde_core.adapt.look import summary
from fsmde_core.adapt.request import Request
from fsmde_core.adapt.source import AdaptError, Source, check_moving, choose, write_drive
from fsmde_core.data.drive import Drive, load_drive
from fsmde_core.data.sample import load_json
from fsmde_core.distill.state import CHECKPOINT
from fsmde_core.files import writable_folder, write_json

VERSION = 2  # of sources.json


def drive_of(
    request: Request, open_sources: Callable[[], Sequence[Source]]
) -> tuple[Drive, list[dict]]:
    """The drive of the work folder, and what it was made of; written if it is not there, or is of
    another request and nothing was learnt from it."""
    with _no_empty_folders(request.work):
        writable_folder(request.work)
        return _drive(request, open_sources)


def _drive(
    request: Request, open_sources: Callable[[], Sequence[Source]]
) -> tuple[Drive, list[dict]]:
    folder, file = request.work / "drive", request.work / "sources.json"
    differs = _differences(request, load_json(file)) if file.exists() else ["nothing is there"]
    if differs and (request.work / "train" / CHECKPOINT).exists():
        raise AdaptError(
            f"{request.work} holds the work of another command ({'; '.join(differs)}): choose "
            f"another --out, or remove {request.work}"
        )
    if differs:
        sources = open_sources()
        chosen = [choose(s, step_m=request.step_m, most=request.most) for s in sources]
        for source, sets in zip(sources, chosen):
            check_moving(source, sets)
        file.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        written = write_drive(sources, chosen, folder)
        about = [summary(*of) for of in zip(sources, map(len, chosen), written)]
        write_json(file, {"version": VERSION, "asked": request.asked, "files": request.files,
                          "sources": about})  # fmt: skip
    return load_drive(folder), load_json(file)["sources"]


@contextmanager
def _no_empty_folders(folder: Path) -> Iterator[None]:
    """After an error, take away the folder and those above that were not there and are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


def _differences(request: Request, document: object) -> list[str]:
    """What a drive was made of otherwise than is asked for now, in words."""
    if not isinstance(document, dict) or document.get("version") != VERSION:
        return ["sources.json is not as this version writes it"]
    then, found = document["asked"], []
    for key, now in request.asked.items():
        if then.get(key) != now and key == "rig":
            found.append("the rig file or a mask of it was changed")
        elif then.get(key) != now:
            was, is_now = (_words(value) for value in (then.get(key), now))
            found.append(f"{key}: {was} then, {is_now} now")
    for path, files in request.files.items():
        if document["files"].get(path, files) != files:
            found.append(f"{path} was changed since")
    return found


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "none")
