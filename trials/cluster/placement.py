"""Which node of Ray a trial may be placed on: wherever there is room, but where an attempt at it was lost only if there is no other."""

from __future__ import annotations

from collections.abc import Collection

import ray
from ray.tune import PlacementGroupFactory

from trials.study.search_spec import WorkersSpec

NODE_ID = "ray.io/node-id"
"""The label that every node of Ray has."""


def others_of(avoided: Collection[str], workers: WorkersSpec) -> list[str]:
    """The nodes to be `avoided` that are alive, where a live node beside them has what a trial needs; none elsewhere."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    fit = [node for node in alive if _holds(node["Resources"], workers)]
    if not avoided or all(node["NodeID"] in avoided for node in fit):
        return []
    return sorted(node["NodeID"] for node in alive if node["NodeID"] in avoided)


def placed(workers: WorkersSpec, avoided: Collection[str] = ()) -> PlacementGroupFactory:
    """What Ray is asked for one trial."""
    bundle = {"CPU": workers.trial_threads, "GPU": workers.gpus}
    if not avoided:
        return PlacementGroupFactory([bundle])
    return PlacementGroupFactory([bundle], bundle_label_selector=[{NODE_ID: f"!in({','.join(sorted(avoided))})"}])


def _holds(resources: dict[str, float], workers: WorkersSpec) -> bool:
    return resources.get("CPU", 0.0) >= workers.trial_threads and resources.get("GPU", 0.0) >= workers.gpus
