"""The Protobuf compiler, in a process of its own: .proto text in, descriptors out, nothing else reachable.

Only the given texts and Protobuf's own well-known types can be imported; the compiler gets a folder, some seconds, some
memory, and is ended when it wants more.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

from recoup.kit.errors import Unavailable
from recoup.kit.schemas.source import refuse

MAIN: Final = "schema.proto"
PATIENCE: Final = timedelta(seconds=10)
_MEMORY_BYTES: Final = 1 << 30
_OUTPUT_BYTES: Final = 16 << 20
_COMPILE: Final = f"""
import resource, sys
for limit, most in (("AS", {_MEMORY_BYTES}), ("FSIZE", {_OUTPUT_BYTES}), ("CPU", {round(PATIENCE.total_seconds())})):
    resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (most, most))
sys.path.append(sys.argv[1])
from grpc_tools import _protoc_compiler
sys.exit(_protoc_compiler.run_main([argument.encode() for argument in sys.argv[2:]]))
"""


def compiled(main: str, imports: Mapping[str, str], known: bytes) -> bytes:
    """A serialized FileDescriptorSet: what is imported first, the main file last; raises Invalid with the place.

    `known` is such a set too, of files that can be imported and whose text nobody has.
    """
    with tempfile.TemporaryDirectory(prefix="protoc-") as made:
        folder = Path(made)
        name = _free_name(imports)
        for path, text in {**imports, name: main}.items():
            _write(folder / "in", path, text)
        (folder / "known").write_bytes(known)
        _run(folder, name)
        return (folder / "out").read_bytes()


def _free_name(imports: Mapping[str, str]) -> str:
    name = MAIN
    while name in imports:
        name = f"_{name}"
    return name


def _write(folder: Path, name: str, text: str) -> None:
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable() or len(name) > 200:  # noqa: PLR2004
        refuse(f"reference {name}", f"{name!r} cannot be the name of an imported file")
    path = folder.joinpath(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeError) as error:
        refuse(f"reference {name}", f"cannot be a file: {error}")


def _run(folder: Path, name: str) -> None:
    tools = find_spec("grpc_tools")
    if tools is None or tools.origin is None:
        raise Unavailable("the Protobuf compiler is not installed")
    package = Path(tools.origin).parent
    command = [
        sys.executable, "-I", "-S", "-c", _COMPILE, str(package.parent), "protoc", f"-I{folder / 'in'}",
        f"-I{package / '_proto'}", f"--descriptor_set_in={folder / 'known'}", "--include_imports",
        f"--descriptor_set_out={folder / 'out'}", name,
    ]  # fmt: skip
    seconds = PATIENCE.total_seconds()
    try:
        done = subprocess.run(  # noqa: S603 - our own program, a fixed name, no shell
            command, cwd=folder, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        refuse("", f"compiling took longer than {seconds:g} s", "too_complex")
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").replace(f"{folder}/in/", "").strip()
        refuse("", said[:2000] or "the compiler gave up on this", "schema_invalid")
