"""What the runs say: medians, ratios to the teacher, shares of the machine's limit, as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fsmde_core.bench.variant import Laps, Variant
from fsmde_core.bench.worker import Memory
from fsmde_core.files import write_json, write_text
from fsmde_core.tables import table

Table = tuple[str, list[str], list[list[str]]]


@dataclass
class Measured:
    """All runs of one variant, in the order of the rounds."""

    variant: Variant
    laps: list[Laps] = field(default_factory=list)
    memory: Memory = Memory(0.0, 0.0)

    def ms(self, stage: str, *, clock: str = "wall") -> np.ndarray:
        """[rounds] milliseconds of a stage."""
        return np.array([getattr(laps, clock)[stage] for laps in self.laps]) * 1e3

    @property
    def stages(self) -> list[str]:
        """In the order in which they run."""
        return list(self.laps[0].wall)


def report(results: list[Measured], baseline: str, about: dict) -> dict:
    """The whole benchmark as JSON; baseline is the network that ratios refer to."""
    limits = {}
    for result in results:
        if result.variant.kind == "limit":
            rate = result.variant.work * 1e3 / result.ms("inference")
            limits[(result.variant.network, *_place(result))] = rate
    teachers = {_place(r): r for r in results if r.variant.network == baseline}
    networks = [r for r in results if r.variant.kind != "limit"]
    return {
        **about,
        "baseline": baseline,
        "limits": [_limit(r) for r in results if r.variant.kind == "limit"],
        "networks": [_network(r, teachers, limits) for r in networks],
    }


def _place(result: Measured) -> tuple[str, str]:
    return result.variant.provider, result.variant.precision


def _limit(result: Measured) -> dict:
    variant = result.variant
    rates = variant.work * 1e3 / result.ms("inference")
    is_gemm = variant.network == "gemm"
    return {
        "name": variant.name,
        "unit": "GFLOP/s" if is_gemm else "GB/s",
        "median": float(np.median(rates)) * (2 if is_gemm else 1),
        "best": float(rates.max()) * (2 if is_gemm else 1),
    }


def _network(result: Measured, teachers: dict, limits: dict) -> dict:
    variant = result.variant
    entry = {
        "name": variant.name,
        "note": variant.note,
        "gmac": variant.work,
        "peak_memory_mb": result.memory.host,
        "device_memory_mb": result.memory.device,
        "stages": {stage: _times(result, stage) for stage in result.stages},
    }
    provider, precision = _place(result)
    teacher = teachers.get((provider, precision)) or teachers.get((provider, "fp32"))
    if teacher is not None and teacher is not result:
        entry["against"] = teacher.variant.name
        for clock in ("wall", "cpu"):
            theirs, ours = (r.ms("inference", clock=clock) for r in (teacher, result))
            entry[f"ratio_{clock}"] = float(np.median(theirs / np.maximum(ours, 1e-3)))
    limit = limits.get(("gemm", provider, precision))
    if limit is not None:
        reached = variant.work * 1e3 / result.ms("inference")
        entry["share_of_gemm"] = float(np.median(reached / limit))
    if variant.kind == "student":
        total = sum(result.ms(stage) for stage in result.stages)
        entry["overhead_share"] = float(np.median(1 - result.ms("inference") / total))
    return entry


def _times(result: Measured, stage: str) -> dict:
    wall, cpu = result.ms(stage), result.ms(stage, clock="cpu")
    return {
        "median_ms": float(np.median(wall)),
        "p95_ms": float(np.percentile(wall, 95)),
        "min_ms": float(wall.min()),
        "median_cpu_ms": float(np.median(cpu)),
    }


def tables(document: dict) -> list[Table]:
    """Title, header and rows of each table."""
    return [_inference_table(document), _stage_table(document), _limit_table(document)]


def _inference_table(document: dict) -> Table:
    header = ["inference of one set", "GMAC", "median ms", "p95 ms", "min ms", "CPU ms"]
    header += [f"x {document['baseline']}", "by CPU time", "of GEMM", "peak MB"]
    rows = []
    for entry in document["networks"]:
        times = entry["stages"]["inference"]
        row = [entry["name"], f"{entry['gmac']:.1f}"]
        row += [f"{times[k]:.1f}" for k in ("median_ms", "p95_ms", "min_ms", "median_cpu_ms")]
        row += [f"{entry[k]:.1f}" if k in entry else "" for k in ("ratio_wall", "ratio_cpu")]
        row.append(f"{entry['share_of_gemm']:.0%}" if "share_of_gemm" in entry else "")
        memory = f"{entry['peak_memory_mb']:.0f}"
        if entry["device_memory_mb"]:
            memory += f" + {entry['device_memory_mb']:.0f} GPU"
        rows.append([*row, memory])
    return "Inference", header, rows


def _stage_table(document: dict) -> Table:
    students = [e for e in document["networks"] if "overhead_share" in e]
    stages = list(students[0]["stages"]) if students else []
    header = ["median / p95 ms", *stages, "all but inference"]
    rows = []
    for entry in students:
        cells = [entry["stages"][stage] for stage in stages]
        row = [f"{cell['median_ms']:.1f} / {cell['p95_ms']:.1f}" for cell in cells]
        rows.append([entry["name"], *row, f"{entry['overhead_share']:.0%}"])
    return "Stages, one after the other", header, rows


def _limit_table(document: dict) -> Table:
    rows = [
        [entry["name"], f"{entry['median']:.0f}", f"{entry['best']:.0f}", entry["unit"]]
        for entry in document["limits"]
    ]
    return "Limits of the machine", ["limit", "median", "best", ""], rows


def screen(document: dict) -> str:
    """The tables for a terminal."""
    parts = [f"\n{title}\n{table(header, rows)}" for title, header, rows in tables(document)]
    return "\n".join([*parts, "", *_notes(document)])


def markdown(document: dict) -> str:
    """The tables as Markdown."""
    parts = [f"`{document['command']}`", f"{document['machine']}; {document['input']}."]
    parts += [f"**{title}**\n\n{table(header, rows)}" for title, header, rows in tables(document)]
    return "\n\n".join([*parts, *_notes(document)]) + "\n"


def _notes(document: dict) -> list[str]:
    notes = {e["note"]: e["name"] for e in document["networks"] if e["note"]}
    return [f"{name}: {note}" for note, name in notes.items()] + document["not_measured"]


def save_report(document: dict, folder: Path) -> None:
    """Write bench.json and bench.md, each whole or not at all, into a folder that is made."""
    write_json(folder / "bench.json", document)
    write_text(folder / "bench.md", markdown(document))
