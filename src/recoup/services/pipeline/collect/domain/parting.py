"""One request's events parted in two, each part in its order."""

import numpy as np
import pyarrow as pa

from recoup.services.pipeline.collect.domain.rows import Arrived


def parted(arrived: Arrived, aside: np.ndarray) -> tuple[Arrived | None, Arrived]:
    """What stays, if anything does, and what is set aside."""
    return None if aside.all() else _only(arrived, ~aside), _only(arrived, aside)


def _only(arrived: Arrived, flags: np.ndarray) -> Arrived:
    return arrived._replace(table=arrived.table.filter(pa.array(flags)), partitions=arrived.partitions[flags])
