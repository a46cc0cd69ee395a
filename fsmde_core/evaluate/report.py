"""An evaluation as a dictionary (JSON), as tables (screen, Markdown), and two of them compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fsmde_core.evaluate.evaluation import Evaluation, Fault
from fsmde_core.evaluate.metrics import METRICS, NO_PIXELS, ErrorSums
from fsmde_core.evaluate.protocols import DISTANCE_BANDS_M
from fsmde_core.files import write_text
from fsmde_core.tables import table

FORMAT = 1  # of the JSON report
HEADINGS = ("Abs Rel", "Sq Rel", "RMSE", "RMSE log", "d<1.25", "d<1.25^2", "d<1.25^3")
SAME = ("dataset", "version", "split", "past_sweeps", "protocol")
"""What two reports must share to be compared; what is absent or empty is the same."""


class ReportError(ValueError):
    """A report that cannot be read or compared; the message names the file."""


def report(evaluation: Evaluation, faults: Sequence[Fault], about: dict) -> dict:
    """Everything that is known, as JSON types; about says of what (model, dataset, split...)."""
    cameras = evaluation.cameras
    scored = {name: sums for name, sums in cameras.items() if sums.groups}
    band_totals = [NO_PIXELS] * (len(DISTANCE_BANDS_M) - 1)
    for sums in cameras.values():
        band_totals = [a + b for a, b in zip(band_totals, sums.bands)]
    return {
        "format": FORMAT,
        **about,
        "protocol": asdict(evaluation.protocol),
        "max_depth_m": evaluation.max_depth_m,
        "samples": len(evaluation.latencies_s),
        "faults": [asdict(fault) for fault in faults],
        "metric": _averaged({name: sums.metric / sums.groups for name, sums in scored.items()}),
        "median_scaled": _averaged(
            {name: sums.scaled / sums.groups for name, sums in scored.items()}
        ),
        "median_scale": {name: sums.scale / sums.groups for name, sums in scored.items()},
        "counts": {n: {"images": s.images, "pixels": s.pixels} for n, s in cameras.items()},
        "bands": {
            "all cameras": _bands(band_totals),
            **{name: _bands(sums.bands) for name, sums in scored.items()},
        },
        "overlap": _overlap(cameras),
        "latency_ms": _latency(evaluation.latencies_s),
        "error_by_distance": {
            "edges_m": evaluation.bin_edges_m.tolist(),
            "abs_rel": [_number(sums.metrics[0]) for sums in evaluation.bins],
            "rmse": [_number(sums.metrics[2]) for sums in evaluation.bins],
            "pixels": [sums.count for sums in evaluation.bins],
        },
        "per_sample": {label: _named(row) for label, row in evaluation.per_sample.items()},
    }


def _averaged(cameras: dict[str, np.ndarray]) -> dict:
    """Each camera's metrics and their mean."""
    mean = np.mean(list(cameras.values()), axis=0) if cameras else np.full(len(METRICS), np.nan)
    return {"mean": _named(mean), "cameras": {name: _named(row) for name, row in cameras.items()}}


def _bands(bands: Sequence[ErrorSums]) -> dict:
    names = [f"{a:g}-{b:g} m" for a, b in zip(DISTANCE_BANDS_M, DISTANCE_BANDS_M[1:])]
    return {name: {"pixels": b.count, **_named(b.metrics)} for name, b in zip(names, bands)}


def _overlap(cameras: dict) -> dict:
    seen = {name: sums.overlap for name, sums in cameras.items() if sums.overlap.count}
    rows = [sums.metrics for sums in seen.values()]
    mean = np.mean(rows, axis=0) if rows else np.full(len(METRICS), np.nan)
    each = {name: {"pixels": s.count, **_named(s.metrics)} for name, s in seen.items()}
    return {"mean": _named(mean), "cameras": each}


def _latency(latencies_s: Sequence[float]) -> dict:
    """Of one rig sample, decoding not included; the first run, which allocates, does not count."""
    steady = np.array(latencies_s[1:] or latencies_s) * 1000
    if not len(steady):
        return {"median": None, "p95": None}
    return {"median": float(np.median(steady)), "p95": float(np.percentile(steady, 95))}


def _named(row: np.ndarray) -> dict:
    return {name: _number(value) for name, value in zip(METRICS, row)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def save_report(document: dict, folder: Path) -> None:
    """Write report.json and report.md; each appears whole or not at all."""
    write_text(folder / "report.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    write_text(folder / "report.md", markdown(document))


def load_report(path: Path) -> dict:
    """Read report.json; ReportError names a file that is missing or something else."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise ReportError(f"report {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ReportError(f"report {path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReportError(f"report {path} is not one of fsmde-evaluate (format {FORMAT})")
    rows = document.get("per_sample")
    if not isinstance(rows, dict) or not all(_is_row(row) for row in rows.values()):
        raise ReportError(f"report {path} lacks the metrics of its samples (per_sample)")
    return document


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(m), int | float) for m in METRICS)


def is_partial(document: dict) -> bool:
    """Whether the report is of an evaluation that was interrupted."""
    return bool(document.get("partial"))


def tables(document: dict) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headings, rows) of every table of a report."""
    result = []
    for key, title in (("metric", "Metric scale"), ("median_scaled", "Median-scaled")):
        entry = document[key]
        rows = [[name, *_cells(row)] for name, row in entry["cameras"].items()]
        rows.append([f"mean of {len(rows)} cameras", *_cells(entry["mean"])])
        result.append((title, ["camera", *HEADINGS], rows))
    bands = document["bands"]["all cameras"].items()
    rows = [[name, *_cells(row), f"{row['pixels']:,}"] for name, row in bands]
    result.append(("By distance, metric scale", ["depth", *HEADINGS, "pixels"], rows))
    entry = document["overlap"]
    rows = [[n, *_cells(row), f"{row['pixels']:,}"] for n, row in entry["cameras"].items()]
    rows.append([f"mean of {len(rows)} cameras", *_cells(entry["mean"]), ""])
    result.append(("Overlap consistency", ["camera", *HEADINGS, "pixels"], rows))
    return result


def _cells(row: dict) -> list[str]:
    return ["-" if row[name] is None else f"{row[name]:.3f}" for name in METRICS]


def summary(document: dict) -> list[str]:
    """The lines above the tables."""
    protocol, latency = document["protocol"]["name"], document["latency_ms"]
    where = " ".join(filter(None, (document[key] for key in ("dataset", "version", "split"))))
    lines = [
        f"{document['model']} on {where}, protocol {protocol}, ground truth below "
        f"{document['max_depth_m']:g} m",
        f"{document['samples']} samples counted, {len(document['faults'])} with faults",
    ]
    if is_partial(document):
        lines.insert(0, f"PARTIAL, interrupted: {document['partial']}")
    if latency["median"] is not None:
        lines.append(
            f"latency of a sample: median {latency['median']:.1f} ms, 95% {latency['p95']:.1f} ms "
            f"({document['device']})"
        )
    return lines + document.get("notes", [])


def screen(document: dict) -> str:
    """The tables for a terminal."""
    lines = ["", *summary(document)]
    for title, headings, rows in tables(document):
        lines += ["", title, table(headings, rows)]
    lines += [f"fault: {fault['sample']}: {fault['reason']}" for fault in document["faults"]]
    return "\n".join(lines)


def markdown(document: dict) -> str:
    """The whole report for people."""
    lines = ["# Evaluation", "", *(f"{line}  " for line in summary(document))]
    lines += ["", f"Command: `{document['command']}`"]
    for title, headings, rows in tables(document):
        lines += ["", f"## {title}", "", table(headings, rows)]
    lines += ["", "![error against distance](error_by_distance.png)"]
    if document["faults"]:
        lines += ["", "## Faults", ""]
        lines += [f"- {fault['sample']}: {fault['reason']}" for fault in document["faults"]]
    return "\n".join(lines) + "\n"
