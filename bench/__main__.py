"""Runs the benches: `python -m bench` all of them in turn, `python -m bench path [OPTION…]` the one in path.py."""

import runpy
import sys
from pathlib import Path


def main() -> None:
    folder = Path(__file__).parent
    names, options = sys.argv[1:2], sys.argv[2:]
    for name in names or sorted(path.stem for path in folder.glob("[a-z]*.py")):
        print(f"== {name}", flush=True)
        sys.argv = [name, *options]
        runpy.run_path(str(folder / f"{name}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
