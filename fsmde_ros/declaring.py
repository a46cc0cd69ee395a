"""The parameters on a node: declared in full, read at the start, changed while it runs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from fsmde_ros.managed import ManagedNode
from fsmde_ros.params import NOT_OURS, NodeParams, ParameterError, check, default

PARAMETER_TYPES = {
    "str": ParameterType.PARAMETER_STRING,
    "int": ParameterType.PARAMETER_INTEGER,
    "float": ParameterType.PARAMETER_DOUBLE,
    "bool": ParameterType.PARAMETER_BOOL,
    "list[str]": ParameterType.PARAMETER_STRING_ARRAY,
}


def declare_params(node: ManagedNode) -> NodeParams:
    """Declare all parameters on a node and return their values.

    ParameterError for an override of a wrong type or out of range. One that is unknown is warned
    about: a launch file may set a parameter for every node that it starts.
    """
    overrides = {name: p.value for name, p in node.get_parameters_by_prefix("").items()}
    _warn_of_unknown(node, [*overrides, *node.empty_overrides])
    if type(overrides.get("use_sim_time", False)) is not bool:
        raise ParameterError(f"parameter use_sim_time: {overrides['use_sim_time']!r} is not a bool")
    values = {}
    for f in fields(NodeParams):
        if f.name in node.empty_overrides and default(f) != [""]:  # which is none as well
            raise ParameterError(f"parameter {f.name} is an empty list")
        value = default(f)
        if f.name in overrides:
            value = overrides[f.name]
            node.undeclare_parameter(f.name)  # declared without descriptor; declare it in full
        values[f.name] = value = _typed(f, value)
        try:
            node.declare_parameter(f.name, value, descriptor(f), ignore_override=True)
        except InvalidParameterValueException as error:
            raise ParameterError(f"parameter {f.name}: {error}") from error
    params = NodeParams(**values)
    check(params)
    return params


def _warn_of_unknown(node: Node, names: Sequence[str]) -> None:
    known = [f.name for f in fields(NodeParams)]
    for name in names:
        if name not in known and not name.startswith(NOT_OURS):
            text = f"unknown parameter {name!r} of node {node.get_name()} is ignored"
            if near := difflib.get_close_matches(name, known, 1):
                text += f": is {near[0]} meant?"
            node.get_logger().warning(text)


def with_changes(params: NodeParams, changes: Sequence[Parameter]) -> NodeParams:
    """The parameters after a change at run time; ParameterError if one of them may not change."""
    by_name = {f.name: f for f in fields(NodeParams)}
    values = {}
    for change in changes:
        if change.name not in by_name:
            continue  # use_sim_time and the like
        f = by_name[change.name]
        if not f.metadata["live"]:
            raise ParameterError(f"parameter {f.name} is fixed while the node runs")
        values[f.name] = _typed(f, change.value)
    changed = replace(params, **values)
    check(changed)
    return changed


def set_result(reason: str) -> SetParametersResult:
    """The answer to a change at run time: refused with a reason, or accepted where it is empty."""
    return SetParametersResult(successful=not reason, reason=reason)


def descriptor(f) -> ParameterDescriptor:
    """The ROS descriptor of one field of NodeParams."""
    low, high = f.metadata["low"], f.metadata["high"]
    choices = f.metadata["choices"]
    result = ParameterDescriptor(
        name=f.name,
        type=PARAMETER_TYPES[f.type],
        description=f.metadata["description"],
        additional_constraints=f"One of {', '.join(choices)}." if choices else "",
        read_only=not f.metadata["live"],
    )
    if low is not None and f.type == "float":
        limit = float(high) if high is not None else 1e9
        result.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=limit)]
    elif low is not None:
        limit = int(high) if high is not None else 2**31
        result.integer_range = [IntegerRange(from_value=int(low), to_value=limit, step=1)]
    return result


def _typed(f, value: Any) -> Any:
    """The value, if it has the field's type; YAML's 1 serves as 1.0."""
    if f.type == "float" and type(value) is int:
        return float(value)
    if f.type == "str" and type(value) is bool and str(value).lower() in f.metadata["choices"]:
        return str(value).lower()  # YAML's true is one of them
    if f.type == "list[str]":
        fits = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    else:
        fits = type(value).__name__ == f.type
    if not fits:
        raise ParameterError(f"parameter {f.name}: {value!r} is not of type {f.type}")
    if f.type == "float" and not math.isfinite(value):
        raise ParameterError(f"parameter {f.name}: {value} is not a finite number")
    return value
