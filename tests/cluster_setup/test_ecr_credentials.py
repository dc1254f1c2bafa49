"""The kubelet asks, ecr-credentials answers; the AWS CLI's part is played."""

from __future__ import annotations

import json

import pytest

from lorikeet.testing.host import SETUP, Done, Host


def credentials(host: Host, image: str) -> Done:
    request = {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": image,
    }
    return host.run(SETUP / "aws" / "ecr-credentials", text=json.dumps(request))


@pytest.mark.parametrize(
    ("image", "registry", "region"),
    [
        (
            "123.dkr.ecr.eu-central-1.amazonaws.com/lorikeet:0.1.0",
            "123.dkr.ecr.eu-central-1.amazonaws.com",
            "eu-central-1",
        ),
        (
            "123.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b@sha256:00",
            "123.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
        ),
        (
            "123.dkr.ecr-fips.us-gov-west-1.amazonaws.com/x",
            "123.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
        ),
    ],
)
def test_a_kubelet_is_given_the_password_of_just_the_registry_it_asks_for(
    host: Host, image: str, registry: str, region: str
) -> None:
    host.program("aws", "echo cGFzcw==")
    done = credentials(host, image)
    assert done.status == 0, done.said
    answer = json.loads(done.out)
    assert answer["kind"] == "CredentialProviderResponse"
    assert answer["auth"] == {registry: {"username": "AWS", "password": "cGFzcw=="}}
    assert host.calls("aws") == [f"aws ecr get-login-password --region {region}"]


@pytest.mark.parametrize(
    "image",
    [
        "docker.io/library/x",
        "evil.example/123.dkr.ecr.eu-west-1.amazonaws.com/x",
        "123.dkr.ecr.eu-west-1.amazonaws.com.evil.example/x",
        "",
    ],
)
def test_other_registries_get_nothing(host: Host, image: str) -> None:
    host.program("aws", "echo cGFzcw==")
    done = credentials(host, image)
    assert (done.status, done.out, host.calls("aws")) == (1, "", [])


@pytest.mark.parametrize("body", ["exit 255", "echo 'a\" b'", "true"], ids=["refused", "no password", "empty"])
def test_without_a_password_there_is_no_answer_but_an_error(host: Host, body: str) -> None:
    host.program("aws", body)
    done = credentials(host, "123.dkr.ecr.eu-central-1.amazonaws.com/lorikeet:1")
    assert (done.status, done.out) == (1, "")
    assert "ecr-credentials: " in done.said
