"""The whole environment, applied: what is there then, what a second plan says, and what destroy leaves."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lorikeet.testing.terraform import Account, Terraform, account, copied

ROOT = Path(__file__).parents[2]
ASKED = ("-var=cluster_name=birds", "-var=worker_count=2", "-var=adapter_bucket=acme-adapters", "-var=endpoints=true")
TOKEN = "abcdef.0123456789abcdef"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def environment(cloud: Account, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """envs/g4dn with its state in the bucket that bootstrap made, as the README says; nothing is applied yet."""
    folder = copied(ROOT, tmp_path_factory.mktemp("configurations"))
    bootstrap = Terraform(folder / "bootstrap", cloud.environment)
    bootstrap("init", "-no-color")
    bootstrap("apply", "-no-color", "-auto-approve")
    (folder / "envs/g4dn/backend.hcl").write_text(bootstrap.outputs()["backend_hcl"])
    environment = Terraform(folder / "envs/g4dn", cloud.environment)
    environment("init", "-no-color", "-backend-config=backend.hcl")
    return environment


def test_what_was_applied_is_all_gone_after_destroy_and_comes_back_the_same(
    cloud: Account, environment: Terraform
) -> None:
    before = observed(cloud)
    for round_ in (1, 2):
        environment("apply", "-no-color", "-auto-approve", *ASKED)
        while_up = observed(cloud)
        environment("plan", "-no-color", "-detailed-exitcode", *ASKED)  # 2, where something would change
        environment("destroy", "-no-color", "-auto-approve", *ASKED)
        after = observed(cloud)
        left = {kind: sorted(after[kind] ^ before[kind]) for kind in before if after[kind] != before[kind]}
        assert not left, f"left behind or taken away in round {round_}: {left}"
        unseen = [kind for kind in before if while_up[kind] == before[kind]]
        assert not unseen, f"an environment that is up shows no {unseen}: this test would not see them stay behind"


@pytest.fixture(scope="module")
def applied(cloud: Account, environment: Terraform) -> dict[str, Any]:
    """The outputs of an environment that is up."""
    environment("apply", "-no-color", "-auto-approve", *ASKED)
    return environment.outputs()


def test_hosts_are_called_and_tagged_after_their_nodes(cloud: Account, applied: dict[str, Any]) -> None:
    hosts = instances(cloud)
    assert {name: host["InstanceId"] for name, host in hosts.items()} == applied["instance_ids"]
    assert sorted(hosts) == ["cp1", "gpu1", "worker1", "worker2"]
    assert {name: host["InstanceType"] for name, host in hosts.items()} == {
        "cp1": "t3.medium",
        "worker1": "t3.medium",
        "worker2": "t3.medium",
        "gpu1": "g4dn.xlarge",
    }
    for name, host in hosts.items():
        role = {"cp1": "control-plane", "gpu1": "gpu-worker"}.get(name, "worker")
        wanted = {"Name": f"birds-{name}", "Node": name, "Role": role}
        assert tags(host) == wanted | {"Project": "lorikeet", "Cluster": "birds", "ManagedBy": "terraform"}


def test_hosts_are_made_of_the_images_that_canonical_and_aws_publish(cloud: Account, applied: dict[str, Any]) -> None:
    ubuntu = published(cloud, "canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id")
    gpu = published(cloud, "deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id")
    images = {name: host["ImageId"] for name, host in instances(cloud).items()}
    assert images == {"cp1": ubuntu, "worker1": ubuntu, "worker2": ubuntu, "gpu1": gpu}


def test_hosts_are_private_and_locked(cloud: Account, applied: dict[str, Any]) -> None:
    public = {subnet["SubnetId"] for subnet in public_subnets(cloud)}
    for host in instances(cloud).values():
        assert not host.get("PublicIpAddress")
        assert host["SubnetId"] not in public
        assert not host.get("KeyName")
        assert host["MetadataOptions"]["HttpTokens"] == "required"
        assert host["MetadataOptions"]["HttpPutResponseHopLimit"] == 1


def test_each_host_was_given_the_script_of_its_own_role(
    cloud: Account, applied: dict[str, Any], tmp_path: Path
) -> None:
    for name, host in instances(cloud).items():
        which = ("--instance-id", host["InstanceId"], "--attribute", "userData")
        data = cloud.aws("ec2", "describe-instance-attribute", *which)["UserData"]["Value"]
        script = gzip.decompress(base64.b64decode(data))
        root = {"PATH": "/usr/bin:/bin", "LORIKEET_ROOT": str(tmp_path / name)}
        subprocess.run(["bash", "-c", script.decode()], env=root, check=True, timeout=30)
        facts = (tmp_path / name / "etc/lorikeet/node.env").read_text().splitlines()
        assert {f"LORIKEET_NODE='{name}'", f"LORIKEET_ROLE='{tags(host)['Role']}'"} <= set(facts)


def test_disks_are_encrypted(cloud: Account, applied: dict[str, Any]) -> None:
    ids = ",".join(applied["instance_ids"].values())
    volumes = cloud.aws("ec2", "describe-volumes", "--filters", f"Name=attachment.instance-id,Values={ids}")["Volumes"]
    assert len(volumes) == 4
    assert all(volume["Encrypted"] and volume["VolumeType"] == "gp3" for volume in volumes)


def test_no_policy_of_ours_allows_a_wildcard(environment: Terraform, applied: dict[str, Any]) -> None:
    documents = [document for resource in resources(environment) for document in policies(resource)]
    statements = [(where, statement) for where, document in documents for statement in document["Statement"]]
    assert {where.split(".")[-2] for where, _ in statements} >= {
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_s3_bucket_policy",
    }
    wide = [
        f"{where}: {word}"
        for where, statement in statements
        if statement["Effect"] == "Allow"
        for word in words(
            statement.get("Action"), statement.get("Resource"), statement.get("NotAction"), statement.get("Principal")
        )
        if "*" in re.sub(r"^(arn:aws:s3:::[a-z0-9-]+)/\*$", r"\1", word)  # the objects of one bucket
    ]
    assert not wide
    assert all("NotResource" not in statement for _, statement in statements if statement["Effect"] == "Allow")


def test_the_join_token_never_gets_into_the_state(
    cloud: Account, environment: Terraform, applied: dict[str, Any]
) -> None:
    facts = json.dumps({"endpoint": "10.20.0.10:6443", "token": TOKEN, "caHash": "sha256:0"})
    put = ("ssm", "put-parameter", "--name", "/birds/join", "--value", facts, "--type", "SecureString", "--overwrite")
    cloud.aws(*put)
    said = environment("plan", "-no-color", "-detailed-exitcode", *ASKED)
    said += environment("apply", "-no-color", "-auto-approve", *ASKED)
    assert TOKEN not in said + environment("state", "pull")
    kept = cloud.aws("ssm", "get-parameter", "--name", "/birds/join", "--with-decryption")["Parameter"]["Value"]
    assert kept == facts, "an apply took the join facts away"


def test_the_state_is_kept_locked_and_encrypted_in_the_bucket(
    cloud: Account, environment: Terraform, applied: dict[str, Any]
) -> None:
    (bucket,) = [name for name in buckets(cloud) if name.startswith("lorikeet-state-")]
    state = cloud.aws("s3api", "head-object", "--bucket", bucket, "--key", "g4dn/terraform.tfstate")
    assert state["ServerSideEncryption"] == "aws:kms"
    cloud.aws("s3api", "put-object", "--bucket", bucket, "--key", "g4dn/terraform.tfstate.tflock")
    said = environment("plan", "-no-color", *ASKED, status=1)
    assert "Error acquiring the state lock" in said
    cloud.aws("s3api", "delete-object", "--bucket", bucket, "--key", "g4dn/terraform.tfstate.tflock")


def test_a_new_image_touches_no_host(environment: Terraform, applied: dict[str, Any]) -> None:
    environment("plan", "-no-color", "-detailed-exitcode", *ASKED, "-var=ubuntu_ami_id=ami-0123456789abcdef0")


def test_replace_renews_one_host_and_no_other(environment: Terraform, applied: dict[str, Any]) -> None:
    address = re.search(r" apply -replace='(.+)'", applied["next_commands"])
    assert address
    plan = environment.planned(*ASKED, f"-replace={address[1]}")
    changed = {
        one["address"]: one["change"]["actions"]
        for one in plan["resource_changes"]
        if one["change"]["actions"] != ["no-op"]
    }
    assert changed == {'module.workers.module.node["worker1"].aws_instance.host': ["delete", "create"]}


def test_the_next_commands_are_shell_and_name_what_is_there(
    cloud: Account, applied: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "next"
    script.write_text(applied["next_commands"])
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=30)
    named = set(re.findall(r"--target (\S+)", script.read_text()))
    assert named == {applied["instance_ids"]["cp1"]}


def observed(cloud: Account) -> dict[str, set[str]]:
    """What an environment is made of, as identities."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda words: cloud.aws(*words.split()), KINDS.values())
    return {kind: set(words(ids)) for kind, ids in zip(KINDS, found, strict=True)}


KINDS = {
    "VPCs": "ec2 describe-vpcs --query Vpcs[].VpcId",
    "subnets": "ec2 describe-subnets --query Subnets[].SubnetId",
    "internet gateways": "ec2 describe-internet-gateways --query InternetGateways[].InternetGatewayId",
    "NAT gateways": "ec2 describe-nat-gateways --query NatGateways[?State!='deleted'].NatGatewayId",
    "addresses": "ec2 describe-addresses --query Addresses[].AllocationId",
    "route tables": "ec2 describe-route-tables --query RouteTables[].RouteTableId",
    "endpoints": "ec2 describe-vpc-endpoints --query VpcEndpoints[?State!='deleted'].VpcEndpointId",
    "security groups": "ec2 describe-security-groups --query SecurityGroups[].GroupId",
    "security group rules": "ec2 describe-security-group-rules --query SecurityGroupRules[].SecurityGroupRuleId",
    "instances": "ec2 describe-instances --query Reservations[].Instances[?State.Name!='terminated'].InstanceId",
    "volumes": "ec2 describe-volumes --query Volumes[].VolumeId",
    "roles": "iam list-roles --query Roles[].RoleName",
    "instance profiles": "iam list-instance-profiles --query InstanceProfiles[].InstanceProfileName",
    "parameters": "ssm describe-parameters --query Parameters[].Name",
    "buckets": "s3api list-buckets --query Buckets[].Name",
}


def instances(cloud: Account) -> dict[str, dict[str, Any]]:
    """Node name → what EC2 tells of its host."""
    found = cloud.aws("ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=running")[
        "Reservations"
    ]
    return {tags(host)["Node"]: host for reservation in found for host in reservation["Instances"]}


def tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def published(cloud: Account, name: str) -> str:
    return str(cloud.aws("ssm", "get-parameter", "--name", f"/aws/service/{name}")["Parameter"]["Value"])


def public_subnets(cloud: Account) -> list[dict[str, Any]]:
    return list(cloud.aws("ec2", "describe-subnets", "--filters", "Name=tag:Name,Values=birds-public-*")["Subnets"])


def buckets(cloud: Account) -> list[str]:
    return [bucket["Name"] for bucket in cloud.aws("s3api", "list-buckets")["Buckets"]]


def resources(environment: Terraform) -> list[dict[str, Any]]:
    """Each resource of the state, with its address and values."""
    modules, found = [json.loads(environment("show", "-json"))["values"]["root_module"]], []
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        found += [one for one in module.get("resources", []) if one["mode"] == "managed"]
    return found


def policies(resource: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each policy document in a resource's values, wherever in it; that of an endpoint is AWS's own."""
    if resource["type"] == "aws_vpc_endpoint":
        return []
    texts = [value for value in resource["values"].values() if isinstance(value, str) and '"Statement"' in value]
    return [(f"{resource['address']}", json.loads(text)) for text in texts]


def words(*things: Any) -> list[str]:
    """The strings in nested lists and objects."""
    found: list[str] = []
    for thing in things:
        if isinstance(thing, str):
            found.append(thing)
        elif isinstance(thing, dict):
            found += words(*thing.values())
        elif thing:
            found += words(*thing)
    return found
