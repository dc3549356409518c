"""docker-compose.yml follows the Compose schema; every container anywhere is hardened.

``compose_spec.json`` is the Compose specification's schema as the PyPI package
docker-compose 1.29.2 carries it (Apache-2.0).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = sorted(COMPOSE["services"])
DEPLOYMENTS = [
    document
    for path in sorted((ROOT / "infra" / "k8s").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] == "Deployment"
]


def test_compose_follows_the_schema():
    schema = json.loads(Path(__file__).with_name("compose_spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_schema_refuses_a_mistake():
    schema = json.loads(Path(__file__).with_name("compose_spec.json").read_text())
    wrong = {"services": {"a": {"image": "x", "readonly": True}}}
    with pytest.raises(jsonschema.ValidationError, match="readonly"):
        jsonschema.Draft7Validator(schema).validate(wrong)


@pytest.mark.parametrize("name", SERVICES)
def test_compose_service_is_hardened(name):
    service = COMPOSE["services"][name]
    uid = service["user"].partition(":")[0]
    assert int(uid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])
    assert service["healthcheck"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]  # nothing of the host


def test_no_password_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"PASSWORD[A-Z_]*:-", text)
    for name, service in COMPOSE["services"].items():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or ("://" in str(value) and "@" in str(value)):
                assert "${SENTINEL_" in str(value), f"{name}: {key}"
    assert "${SENTINEL_POSTGRES_PASSWORD:?" in text


def test_images_are_official_and_pinned():
    images = {service["image"] for service in COMPOSE["services"].values()}
    assert {image.partition(":")[0] for image in images} == {
        "apache/kafka",
        "postgres",
        "elasticsearch",
        "sentinel",
    }
    assert all(image.partition(":")[2] not in ("", "latest") for image in images)


def test_compose_runs_the_versions_that_make_run_embeds():
    locks = {
        name: (ROOT / "sentinel" / "local" / f"{name}.lock").read_text()
        for name in ("kafka", "elasticsearch")
    }
    kafka = COMPOSE["services"]["kafka"]["image"].partition(":")[2]
    search = COMPOSE["services"]["elasticsearch"]["image"].partition(":")[2]
    assert f"org.apache.kafka:kafka_2.13:jar:{kafka} " in locks["kafka"]
    assert f":elasticsearch:zip:{search} " in locks["elasticsearch"]


def test_image_runs_as_an_ordinary_user_from_hash_pinned_packages():
    lines = (ROOT / "infra" / "docker" / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert any("--require-hashes" in line for line in lines)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["metadata"]["name"])
def test_pods_are_hardened(deployment):
    pod = deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
