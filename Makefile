# make demo       replay six cameras through the node; DATA=<nuScenes root> VERSION=v1.0-mini for real ones,
#                 or BAG=<rosbag2, ROS 1 bag or MCAP file>
# make test       everything that CI runs; fetches 6.6 GB on Linux, most of it torch's CUDA, unless TORCH= names
#                 a build for the CPU: a wheel's file, or a requirement with pip's options
# make test-node  the tests of all that needs no torch: node, bags, street, evaluation (about 2 GB on disk)
# make lint       ruff
# Each sets up .venv on first use. Where a ROS 2 installation is sourced it is used, else its wheels.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
VERSION ?= v1.0-mini
OUT ?= out/demo
TORCH ?= torch
# beside the version that is pinned: the one for CUDA 13, from Python 3.11 on
NEXT := onnxruntime-gpu==1.31.1

ifdef ROS_DISTRO
VENV_FLAGS := --system-site-packages
# rclpy's messages are compiled against this numpy: another major version does not load them
VERSIONS = "numpy==$$($(PYTHON) -c 'import numpy; print(numpy.__version__)')"
RUN_EXTRAS := [street]
NODE_TEST_EXTRAS := [street,evaluate,test]
else
VENV_FLAGS :=
VERSIONS := --constraint constraints.txt
RUN_EXTRAS := [ros,street]
NODE_TEST_EXTRAS := [ros,street,evaluate,view,test]
endif

# three processes on two cores: tests over DDS mostly wait
.PHONY: demo test test-node lint clean
demo: $(VENV)/run-installed
	@$(RUN) -m fsmde_ros.tools.demo --out $(OUT) $(if $(BAG),--bag "$(BAG)") $(if $(DATA),--data "$(DATA)" --version "$(VERSION)") $(if $(SCENE),--scene "$(SCENE)")

test: $(VENV)/test-installed lint
	$(RUN) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-node: lint
	$(RUN) -m pytest --without-train --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/node-test-installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is older than Python 3.10; name another with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV_FLAGS) $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) -m venv failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }

$(VENV)/run-installed: $(VENV)/bin/python setup.py constraints.txt
	@echo "make: installing what the node needs into $(VENV) (once, a minute or two)"
	@$(RUN) -m pip install --quiet $(VERSIONS) --editable ".$(RUN_EXTRAS)"
	@touch $@

$(VENV)/node-test-installed: $(VENV)/run-installed
	@echo "make: installing what the tests need into $(VENV) (once, some minutes)"
	@$(RUN) -m pip install --quiet $(VERSIONS) --editable ".$(NODE_TEST_EXTRAS)"
	@touch $@

# torch first and alone: everything else that wants a torch then takes this one
$(VENV)/test-installed: $(VENV)/node-test-installed
	@echo "make: installing torch ($(TORCH)) and what training needs into $(VENV) (once; gigabytes with CUDA, see TORCH)"
	@$(RUN) -m pip install --quiet $(VERSIONS) $(TORCH)
	@$(RUN) -m pip install --quiet $(VERSIONS) --editable ".[train]"
	@$(RUN) -m pip install --quiet --no-deps --target $(VENV)/onnxruntime-next $(NEXT) || echo "make: without $(NEXT), which has no wheel here"
	@touch $@

clean:
	rm -rf $(VENV) out build install log *.egg-info
