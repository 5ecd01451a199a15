"""The same steps as a bytewax dataflow, keyed by cart; run by the Python of a venv that has bytewax.

PYTHON bench/lib/flow.py FILE BATCH      prints what it took, as JSON
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import rowwise


def flow(messages: list[bytes], batch: int, tally: Any) -> Any:
    """One input, five steps, an output that drops what it gets."""
    op: Any = import_module("bytewax.operators")
    outputs: Any = import_module("bytewax.outputs")

    class Partition(outputs.StatelessSinkPartition):
        def write_batch(self, items: Any) -> None:
            pass

    class Nowhere(outputs.DynamicSink):
        def build(self, *_: object) -> Partition:
            return Partition()

    def valid(event: Any) -> bool:
        good = rowwise.is_valid(event)
        tally.invalid += not good
        return good

    def take(state: Any, event: Any) -> Any:
        state = state or rowwise.Key()
        return state, state.take(event, tally)

    made: Any = import_module("bytewax.dataflow").Dataflow("steps")
    source: Any = import_module("bytewax.testing").TestingSource(messages, batch_size=batch)
    events = op.map("parse", op.input("in", made, source), json.loads)
    keyed = op.key_on("by cart", op.filter("validate", events, valid), lambda event: event["cart_id"])
    taken = op.stateful_flat_map("deduplicate, enrich, track", keyed, take)
    op.output("out", op.map("write", taken, lambda pair: json.dumps(pair[1]).encode()), Nowhere())
    return made


def main() -> None:
    messages = Path(sys.argv[1]).read_bytes().splitlines()
    tally = rowwise.Tally()
    made = flow(messages, int(sys.argv[2]), tally)
    started, cpu = time.perf_counter(), time.process_time()
    import_module("bytewax.testing").run_main(made)
    rowwise.report(tally, time.perf_counter() - started, time.process_time() - cpu)


if __name__ == "__main__":
    main()
