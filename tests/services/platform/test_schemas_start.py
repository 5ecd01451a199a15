"""The registry costs a start nothing: its libraries wait for the first schema."""

import subprocess
import sys

HEAVY = ("fastavro", "google.protobuf", "graphql", "grpc_tools", "jsonschema_rs", "strawberry")


def test_no_library_for_schemas_is_loaded_at_the_start() -> None:
    asked = f"import sys; import recoup.services.platform.wiring; print([m for m in {HEAVY!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
