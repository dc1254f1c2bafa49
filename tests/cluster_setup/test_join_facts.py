"""The join facts: the control plane publishes them, a worker waits for them. The AWS CLI's part is played."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lorikeet.testing.host import SETUP, Done, Host, write_node_env

FACTS = {"endpoint": "10.0.0.1:6443", "token": "abcdef.0123456789abcdef", "caHash": "sha256:" + "0a" * 32}
WORDS = " ".join(FACTS.values())
LINE = f"kubeadm join {FACTS['endpoint']} --token {FACTS['token']} --discovery-token-ca-cert-hash {FACTS['caHash']} "
ABSENT = 'echo "An error occurred (ParameterNotFound) when calling the GetParameter operation: " >&2; exit 254'


def answers(host: Host, *bodies: str) -> None:
    """What `aws ssm get-parameter` does at the first call, the second, …; the last one holds for good."""
    cases = "".join(f"{number}) {body} ;;\n" for number, body in enumerate(bodies))
    host.program(
        "aws",
        f'n=$(wc -l 2>/dev/null <"$state/asked" || echo 0); echo >>"$state/asked"\n'
        f"((n < {len(bodies)})) || n={len(bodies) - 1}\ncase $n in\n{cases}esac",
    )


def await_join(host: Host, **environment: str) -> Done:
    write_node_env(host)
    return host.run(SETUP / "aws" / "await-join", **environment)


def test_a_worker_prints_the_facts_as_join_takes_them(host: Host) -> None:
    answers(host, f"echo '{json.dumps(FACTS)}'")
    done = await_join(host)
    assert (done.status, done.out) == (0, WORDS + "\n"), done.said
    assert host.calls("aws") == [
        "aws ssm get-parameter --name /lori/join --with-decryption --query Parameter.Value --output text"
    ]


@pytest.mark.parametrize(
    ("not_yet", "why"),
    [
        (ABSENT, "ParameterNotFound"),
        ("echo '{}'", "it has no endpoint"),
        (f"echo '{json.dumps(FACTS | {'token': 'abc.0123456789abcdef'})}'", "it has no token"),
        (f"echo '{json.dumps(FACTS | {'caHash': 'sha256:beef'})}'", "it has no hash"),
        (f"echo '{json.dumps(FACTS | {'endpoint': '$(reboot):1'})}'", "it has no endpoint"),
    ],
    ids=["absent", "empty", "token", "hash", "endpoint"],
)
def test_a_worker_waits_while_the_parameter_is_not_whole_and_says_for_what(host: Host, not_yet: str, why: str) -> None:
    answers(host, not_yet, not_yet, f"echo '{json.dumps(FACTS)}'")
    done = await_join(host)
    assert done.out == WORDS + "\n"
    assert len(re.findall(r"worker1: waiting for the control plane to write /lori/join", done.said)) == 2
    assert why in done.said
    assert host.calls("sleep") == ["sleep 2", "sleep 4"]


def test_a_worker_stops_waiting_at_last_and_says_where_to_look(host: Host) -> None:
    answers(host, ABSENT)
    done = await_join(host, LORIKEET_JOIN_WAIT="1")
    assert done.status == 1
    assert "no join facts in /lori/join after" in done.said
    assert "/var/log/lorikeet-setup.log on it says" in done.said


def test_a_worker_that_has_joined_asks_nobody(host: Host) -> None:
    answers(host, ABSENT)
    (host.folder / "joined").touch()
    done = await_join(host)
    assert (done.status, done.out, host.calls("aws")) == (0, "", [])


def test_a_host_without_facts_of_its_own_says_which_file_is_missing(host: Host) -> None:
    done = host.run(SETUP / "aws" / "await-join", LORIKEET_NODE_ENV="/nowhere/node.env")
    assert done.status == 1
    assert "there is no /nowhere/node.env: it says LORIKEET_NODE" in done.said


@pytest.fixture
def control_plane(host: Host) -> Host:
    write_node_env(host, "control-plane", "cp1")
    host.program("kubeadm", f"echo '{LINE}'")
    host.program(
        "aws", 'value=${!#}; cp "${value#file://}" "$state/value"; stat -c %a "${value#file://}" >"$state/mode"'
    )
    return host


def publish(host: Host) -> Done:
    return host.run(SETUP / "aws" / "publish-join")


def test_the_control_plane_publishes_facts_with_a_token_that_lives_two_hours(control_plane: Host) -> None:
    done = publish(control_plane)
    assert done.status == 0, done.said
    assert json.loads((control_plane.folder / "state/value").read_text()) == FACTS
    assert "token create --ttl 2h" in control_plane.calls("kubeadm")[0]


def test_the_token_is_in_no_argument_no_output_and_no_file_that_stays(control_plane: Host) -> None:
    done = publish(control_plane)
    call = control_plane.calls("aws")[0]
    assert FACTS["token"] not in call + done.out + done.said
    assert call.startswith("aws ssm put-parameter --name /lori/join --type SecureString --overwrite --value file://")
    assert not Path(call.rpartition("file://")[2]).exists()
    assert (control_plane.folder / "state/mode").read_text() == "600\n"


def test_publishing_is_tried_again_and_says_which_right_may_be_missing(control_plane: Host) -> None:
    control_plane.program("aws", "exit 254")
    done = publish(control_plane)
    assert (done.status, len(control_plane.calls("aws"))) == (1, 6)
    assert "may this host's role ssm:PutParameter on it?" in done.said


def test_what_one_publishes_the_other_reads(control_plane: Host) -> None:
    publish(control_plane)
    answers(control_plane, f'cat "{control_plane.folder}/state/value"')
    assert await_join(control_plane).out == WORDS + "\n"
