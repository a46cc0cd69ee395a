"""Two reports side by side."""

import json

import numpy as np
import pytest

from fsmde_core.evaluate.compare import bootstrap_interval, compare, comparison_table
from fsmde_core.evaluate.metrics import METRICS
from fsmde_core.evaluate.report import FORMAT, ReportError, load_report

ABOUT = {"dataset": "x", "version": "", "split": "val", "model": "m", "device": "", "command": ""}


def documents(rows_a, rows_b):
    def make(rows):
        per_sample = {s: {m: row for m in METRICS} for s, row in rows.items()}
        return {**ABOUT, "protocol": "p", "per_sample": per_sample}

    return make(rows_a), make(rows_b)


def test_differences_are_paired_over_common_samples():
    a, b = documents({"1": 0.5, "2": 0.1, "3": 9.0}, {"1": 0.4, "2": 0.0, "4": 7.0})
    differences, samples = compare([(a, b)])
    assert samples == 2
    assert differences[0].a == pytest.approx(0.3) and differences[0].b == pytest.approx(0.2)
    assert (differences[0].low, differences[0].high) == pytest.approx((-0.1, -0.1))  # every draw
    assert differences[0].certain


def test_seeds_are_averaged_before_samples_are_drawn():
    seeds = [documents({"1": 0.5, "2": 0.1}, {"1": 0.4 + d, "2": -d}) for d in (0.3, -0.3)]
    differences, samples = compare(seeds)
    assert samples == 2  # not four: the seeds of a sample are no samples of their own
    assert differences[0].change == pytest.approx(-0.1)
    assert (differences[0].low, differences[0].high) == pytest.approx((-0.1, -0.1))


def test_the_bootstrap_interval_is_that_of_the_mean():
    rows = np.random.default_rng(1).normal(0.0, 1.0, (400, 1))
    low, high = bootstrap_interval(rows, seed=0)[:, 0]
    assert low < rows.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)  # sigma / sqrt(400), both sides


def test_a_single_sample_has_no_interval():
    (difference, *_), samples = compare([documents({"1": 0.5}, {"1": 0.4})])
    assert samples == 1 and np.isnan(difference.low) and not difference.certain
    assert "nan" not in comparison_table([difference], [("a.json", "b.json")], samples)


def test_reports_of_different_protocols_do_not_compare():
    a, b = documents({"1": 0.5}, {"1": 0.4})
    with pytest.raises(ReportError, match="differ in protocol"):
        compare([(a, b), (a, {**b, "protocol": "other"})])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("protocol", {"name": "vfdepth", "masks": True}, "protocol: cvcdepth and vfdepth"),
        ("protocol", {"name": "cvcdepth", "masks": False}, "masks of protocol cvcdepth: True and"),
        ("split", "mini_val", "split: val and mini_val"),
    ],
)
def test_what_two_reports_differ_in_is_named_alone(key, value, said):
    a, b = documents({"1": 0.5}, {"1": 0.4})
    protocol = {"protocol": {"name": "cvcdepth", "masks": True}}
    with pytest.raises(ReportError) as error:
        compare([({**a, **protocol}, {**b, **protocol, key: value})])
    assert f"the reports differ in {said}" in str(error.value) and "{" not in str(error.value)


def test_truth_of_more_sweeps_is_another_truth():
    a, b = documents({"1": 0.5}, {"1": 0.4})
    with pytest.raises(ReportError, match="differ in past_sweeps: None and 4"):
        compare([(a, {**b, "past_sweeps": 4})])
    assert compare([(a, {**b, "past_sweeps": 0})])[1] == 1  # reports from before name none


@pytest.mark.parametrize(
    "samples",
    [{}, {"per_sample": [1]}, {"per_sample": {"1": {"abs_rel": 0.5}}}, {"per_sample": {"1": None}}],
)
def test_a_report_without_the_metrics_of_its_samples_is_named(tmp_path, samples):
    (tmp_path / "a.json").write_text(json.dumps({**ABOUT, "format": FORMAT, **samples}))
    with pytest.raises(ReportError, match="a.json lacks the metrics of its samples"):
        load_report(tmp_path / "a.json")
