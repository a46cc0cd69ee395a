"""Make a teacher ready: fsmde-teacher fit trains one, fsmde-teacher cache keeps its outputs.

fsmde-teacher fit --config config/distill/teacher_vits.yaml foundation.checkpoint=FILE
    data.kind=nuscenes data.train=ROOT
fsmde-teacher cache --config config/distill/street.yaml teacher=CARD teacher_cache=FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsmde_core.extras import needed_by

with needed_by("fsmde-teacher", __file__):
    from fsmde_core.distill import main as distill
    from fsmde_core.distill.cached_teacher import fill_cache
    from fsmde_core.distill.config import ConfigError, DistillConfig, load_config
    from fsmde_core.interrupt import unless_interrupted


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 2 with one sentence for whatever stops it, 130 after Ctrl-C.

    fit takes all arguments of fsmde-distill; its config must ask for a scale-invariant loss, but
    for a metric foundation model. cache takes a config and overrides alone.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="fit takes all else that fsmde-distill takes, --out FOLDER and KEY=VALUE say; cache "
        "KEY=VALUE.",
    )
    parser.add_argument("command", choices=("fit", "cache"))
    parser.add_argument("--config", type=Path, required=True)
    arguments, rest = parser.parse_known_args(argv)
    overrides = [text for text in rest if "=" in text and not text.startswith("-")]
    others = [text for text in rest if text not in overrides]
    if arguments.command == "cache" and others:
        parser.error(f"cache knows no {' '.join(others)}")
    try:
        config = load_config(arguments.config, overrides)
        if arguments.command == "cache":
            return _cache(config)
        if not config.losses.scale_invariant and not config.foundation.metric:
            raise ConfigError(
                "a teacher wants losses.scale_invariant: true, unless foundation.variant is metric"
            )
    except distill.ERRORS as error:
        print(f"fsmde-teacher: {distill.sentence(error)}", file=sys.stderr)
        return 2
    return distill.main(["--config", str(arguments.config), *rest], program="fsmde-teacher")


@unless_interrupted("fsmde-teacher: stopped; outputs that are there stay, the same command goes on")
def _cache(config: DistillConfig) -> int:
    if not config.teacher or not config.teacher_cache:
        raise ConfigError("teacher and teacher_cache must name a card and a folder")
    fill_cache(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
