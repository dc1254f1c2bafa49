"""What a user meets who asks for what cannot be: each refusal names the fact and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.testing.terraform import Account, Terraform, copied

ROOT = Path(__file__).parents[2]
REFUSED = [
    ("vpc_cidr=0.0.0.0/0", "vpc_cidr is 0.0.0.0/0: a VPC of AWS takes no more than a /16"),
    ("vpc_cidr=10.20.0.0/30", "Choose one between, for example 10.20.0.0/16."),
    ("vpc_cidr=10.245.16.0/20", "choose a vpc_cidr outside of both, for example 10.20.0.0/16."),
    (
        "gpu_type=t3.medium",
        "instance_type t3.medium is none with NVIDIA GPUs that the image's driver knows: choose one of",
    ),
    ("gpu_type=g4ad.xlarge", "(g4ad is AMD, g5g is ARM, p3 and older need another driver.)"),
    ('admin_cidrs=["0.0.0.0/0"]', "name your own network, or none and let SSM forward a port."),
    ("worker_count=0", "0 workers are asked for: at least one whole worker is needed"),
    ("worker_count=-1", "-1 workers are asked for: at least one whole worker is needed"),
    ("gpu_count=-1", "write a whole number, 0 for none."),
    ("gpu_count=5", "5 GPU workers are over the cap of 4: raise the cap if you mean it"),
    ("cluster_name=bird's", "cluster_name is 'bird's': use 2 to 32 small letters, digits and hyphens"),
    ("cluster_name=birds\nrm", "use 2 to 32 small letters, digits and hyphens"),
    (
        "region=us-east-1",
        "list them with 'aws ec2 describe-availability-zones --region us-east-1'.",
    ),
    ('host_environment={"A B"="x"}', "use capitals, digits and _"),
]


@pytest.fixture(scope="module")
def environment(moto: Account, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """envs/g4dn with its state in a file."""
    folder = copied(ROOT, tmp_path_factory.mktemp("configurations")) / "envs/g4dn"
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    environment = Terraform(folder, moto.environment)
    environment("init", "-no-color")
    return environment


@pytest.mark.parametrize(("asked", "told"), REFUSED, ids=[asked for asked, _ in REFUSED])
def test_a_bad_value_is_refused_with_what_to_do(asked: str, told: str, environment: Terraform) -> None:
    said = environment("plan", "-no-color", f"-var={asked}", status=1)
    assert told in said
    assert said.count("Error: ") == said.count("Error: Invalid value for variable"), (
        "it fails for another reason as well"
    )


def test_zones_that_have_no_such_gpu_are_refused(environment: Terraform) -> None:
    said = environment("plan", "-no-color", "-var=gpu_type=p5en.48xlarge", status=1)
    assert "No zone of the cluster offers p5en.48xlarge for GPU workers: choose other availability_zones" in said


def test_a_good_value_is_planned(environment: Terraform) -> None:
    """Without it every refusal above could be for a reason of the test's own."""
    environment("plan", "-no-color")


# The next two are met in `init`, before anything of this configuration is read: the words are Terraform's own, and our
# page says what to do about them.


def test_an_absent_state_bucket_is_said_and_the_page_names_the_bootstrap(moto: Account, configurations: Path) -> None:
    (configurations / "envs/g4dn/backend.hcl").write_text((configurations / "backend.hcl.example").read_text())
    terraform = Terraform(configurations / "envs/g4dn", moto.environment)
    said = terraform("init", "-no-color", "-backend-config=backend.hcl", status=1)
    assert 'S3 bucket "lorikeet-state-111122223333-eu-central-1" does not exist' in said
    assert "step 2" in advice("does not exist")


def test_no_credentials_are_said_and_the_page_names_where_they_come_from(moto: Account, configurations: Path) -> None:
    nobody = {name: value for name, value in moto.environment.items() if not name.endswith(("_ID", "_KEY"))}
    (configurations / "envs/g4dn/backend.hcl").write_text((configurations / "backend.hcl.example").read_text())
    terraform = Terraform(configurations / "envs/g4dn", nobody)
    said = terraform("init", "-no-color", "-backend-config=backend.hcl", status=1)
    assert "No valid credential sources found" in said
    assert "aws sts get-caller-identity" in advice("No valid credential sources found")


def advice(words: str) -> str:
    """The row of the page's last table that quotes these words of Terraform's."""
    rows = [row for row in (ROOT / "docs/aws.md").read_text().splitlines() if row.startswith("|") and words in row]
    assert len(rows) == 1, f"docs/aws.md has {len(rows)} rows about '{words}'"
    return rows[0]
