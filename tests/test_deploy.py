"""The manifests can be read, and say of each kind what that kind asks for; no cluster is at hand to try them on."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recoup.services.platform.gateway.domain import AS_THEY_ARE
from recoup.services.platform.settings import Settings

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "deploy" / "kubernetes" / "ingress.yaml"
KINDS = {
    ("networking.istio.io/v1", "Gateway"): {"selector", "servers"},
    ("networking.istio.io/v1", "VirtualService"): {"hosts", "gateways", "http"},
    ("extensions.istio.io/v1alpha1", "WasmPlugin"): {"selector", "phase", "url", "failStrategy", "pluginConfig"},
}


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    return {part["kind"]: part for part in yaml.safe_load_all(MANIFEST.read_text())}


def test_every_part_is_of_a_known_kind_and_has_what_that_asks_for(parts):
    assert {(part["apiVersion"], part["kind"]) for part in parts.values()} == set(KINDS)
    for part in parts.values():
        assert KINDS[part["apiVersion"], part["kind"]] <= set(part["spec"])
        assert re.fullmatch("[a-z0-9-]{1,63}", part["metadata"]["name"])


def test_hosts_and_gateways_name_each_other(parts):
    gateway, route = parts["Gateway"], parts["VirtualService"]["spec"]
    assert route["gateways"] == [f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"]
    assert all(server["hosts"] == route["hosts"] for server in gateway["spec"]["servers"])
    assert parts["WasmPlugin"]["spec"]["selector"]["matchLabels"] == gateway["spec"]["selector"]


def directives(parts) -> list[str]:
    config = parts["WasmPlugin"]["spec"]["pluginConfig"]
    return config["directives_map"][config["default_directives"]]


def test_the_core_rules_are_in_force_after_everything_that_tunes_them(parts):
    found = directives(parts)
    assert "SecRuleEngine On" in found
    assert found.index("Include @crs-setup-conf") < found.index("Include @owasp_crs/*.conf") == len(found) - 1
    assert f"SecRequestBodyLimit {Settings().body_limit_bytes}" in found
    ids = re.findall(r"\bid:(\d+)", " ".join(found))
    assert len(ids) == len(set(ids)) > 0
    assert all(line.count('"') % 2 == 0 and "\n" not in line for line in found)


@pytest.mark.parametrize(
    ("path", "looked_into"),
    [("/api/events/batch", False), ("/v1/batch", False), ("/api/graphql", False), ("/api/eventsx", True),
     ("/api/auth/login", True), ("/api/config", True)],
)  # fmt: skip
def test_only_bodies_that_are_data_or_a_language_are_not_looked_into(parts, path, looked_into):
    rules = [re.search(r'"@rx ([^"]+)"', line) for line in directives(parts) if "requestBodyAccess=Off" in line]
    assert any(rule is not None and re.search(rule[1], path) for rule in rules) is not looked_into
    assert {"v1", "webhooks"} >= AS_THEY_ARE
