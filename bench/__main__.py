"""Runs the benches: `python -m bench` all of them in turn, `python -m bench path` the one in path.py."""

import runpy
import sys
from pathlib import Path


def main() -> None:
    folder = Path(__file__).parent
    names = sys.argv[1:] or sorted(path.stem for path in folder.glob("[a-z]*.py"))
    for name in names:
        print(f"== {name}", flush=True)
        runpy.run_path(str(folder / f"{name}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
