"""One request's events parted in two, each part in its order."""

from itertools import compress

import numpy as np

from recoup.services.pipeline.collect.domain.rows import Arrived


def parted(arrived: Arrived, aside: np.ndarray) -> tuple[Arrived | None, Arrived]:
    """What stays, if anything does, and what is set aside."""
    return None if aside.all() else _only(arrived, ~aside), _only(arrived, aside)


def _only(arrived: Arrived, flags: np.ndarray) -> Arrived:
    chosen = flags.tolist()
    return arrived._replace(
        columns={name: tuple(compress(values, chosen)) for name, values in arrived.columns.items()},
        partitions=arrived.partitions[flags],
        proven=arrived.proven[flags],
    )
