"""What the guide tells receivers to do with a signature, in both of its languages, and the published example."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from recoup.kit.config import Secret
from recoup.services.pipeline.routing.domain.payload import headers

GUIDE = Path(__file__).parents[3] / "docs/guides/routing.md"


def example(language: str) -> str:
    """The code of the guide in a language."""
    return GUIDE.read_text().partition(f"```{language}\n")[2].partition("```")[0]


def signed_call(secret: str, timestamp: int) -> tuple[dict[str, str], bytes]:
    """The headers of a call as it is received, signed by two secrets."""
    body = '{"type": "events.routed", "data": {"é": 1}}'.encode()
    both = [Secret("whsec_" + base64.b64encode(b"another").decode()), Secret(secret)]
    return headers(both, "msg-1", timestamp, body), body


SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CALLS = {
    "as sent": (0, SECRET, b"", True),
    "changed": (0, SECRET, b" ", False),
    "another secret": (0, "whsec_" + base64.b64encode(b"stranger").decode(), b"", False),
    "too old": (-301, SECRET, b"", False),
}


@pytest.mark.parametrize(("age", "secret", "more", "good"), CALLS.values(), ids=CALLS)
def test_the_guide_s_python_believes_our_calls_and_no_others(age: int, secret: str, more: bytes, good: bool) -> None:
    names: dict[str, Any] = {}
    exec(example("python"), names)
    sent, body = signed_call(SECRET, int(time.time()) + age)
    assert names["verify"](secret, sent, body + more) is good


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize(("age", "secret", "more", "good"), CALLS.values(), ids=CALLS)
def test_the_guide_s_javascript_believes_our_calls_and_no_others(
    age: int, secret: str, more: bytes, good: bool
) -> None:
    sent, body = signed_call(SECRET, int(time.time()) + age)
    asked = json.dumps([secret, sent, base64.b64encode(body + more).decode()])
    asking = f'const [s, h, b] = {asked}; process.stdout.write(String(verify(s, h, Buffer.from(b, "base64"))));'
    answer = subprocess.run(
        ["node", "-e", example("javascript") + asking], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout == str(good).lower()
