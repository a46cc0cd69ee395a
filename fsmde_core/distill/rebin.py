"""A bin head with other bins that says what an old one said: to train on with a longer reach."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fsmde_core.network.bins import BinHead

IMPROBABLE = 6.0
"""How far the logits of bins outside the old range start below the outermost old bin's. e^-6, once
for each bin, moves the depth of nothing but what lies in that bin, which had nowhere else to be;
from much lower a short training would not bring them up."""


def head_with_bins(
    head: BinHead, *, n_bins: int, min_depth_m: float, max_depth_m: float
) -> BinHead:
    """A new BinHead for the same features, with other bins."""
    return BinHead(
        head.logits.in_channels,
        head.widths[0].in_features,
        n_bins=n_bins,
        min_depth_m=min_depth_m,
        max_depth_m=max_depth_m,
        canonical_focal_px=head.canonical_focal_px,
    )


@torch.no_grad()
def carry_over(old: BinHead, new: BinHead) -> None:
    """Give `new` the weights with which it predicts what `old` does, as near as its bins allow.

    Both count as having bins of one width in log depth, from which they adapt. Each new bin is the
    old one in which its centre lies. Outside the old range it starts as the nearest old bin, but
    improbable; the bins on either side are together as wide as so many old ones on the mean,
    however these adapt, so that those in between stay where they were.
    """
    place = _places(old, new)
    last = old.logits.out_channels - 1
    nearest, outside = place.clamp(0, last), (place < 0) | (place > last)
    new.logits.weight.copy_(old.logits.weight[nearest])
    new.logits.bias.copy_(old.logits.bias[nearest] - IMPROBABLE * outside)
    kept = _carry_hidden(old, new)
    widths, old_widths = new.widths[-1], old.widths[-1]
    widths.weight.zero_()  # further hidden units have no say yet
    widths.weight[:, : len(kept)] = _width_rows(old_widths.weight[:, kept], place)
    widths.bias.copy_(_width_rows(old_widths.bias[:, None], place)[:, 0])


def _places(old: BinHead, new: BinHead) -> Tensor:
    """For each new bin the old one in which its centre lies; below 0 or beyond the last outside."""
    n_old, n_new = old.logits.out_channels, new.logits.out_channels
    log_centers = new.log_min + new.log_range * (torch.arange(n_new) + 0.5) / n_new
    return ((log_centers - old.log_min) / old.log_range * n_old).floor().long()


def _width_rows(rows: Tensor, place: Tensor) -> Tensor:
    """Rows [Z, C] of the old bins for the new ones at `place`.

    Those outside are the old ones thinned, each a mean of neighbours: a mean of all would not be as
    wide as they are, as widths saturate.
    """
    below, above = int((place < 0).sum()), int((place >= len(rows)).sum())
    inside = rows[place[below : len(place) - above]]
    thinned = [F.adaptive_avg_pool1d(rows.T, n).T if n else rows[:0] for n in (below, above)]
    return torch.cat([thinned[0], inside, thinned[1]])


def _carry_hidden(old: BinHead, new: BinHead) -> Tensor:
    """The hidden layer of the widths, as large as there are bins for; returns the units kept."""
    hidden, old_hidden = new.widths[0], old.widths[0]
    units = min(hidden.out_features, old_hidden.out_features)
    kept = _strongest(old.widths[-1].weight, units)
    hidden.weight[:units] = old_hidden.weight[kept]
    hidden.bias[:units] = old_hidden.bias[kept]
    return kept


def _strongest(weight: Tensor, count: int) -> Tensor:
    """Of the inputs of a layer [outputs, inputs] the `count` that have most to say, in order."""
    return weight.norm(dim=0).topk(count).indices.sort().values
