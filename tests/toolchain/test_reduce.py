"""The provider's sources without most of its services: what stays, and that a provider of another shape is refused."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REDUCE = Path(__file__).parents[2] / "cluster-setup/local/toolchain/terraform-provider-aws/reduce"
MODULE = "github.com/hashicorp/terraform-provider-aws"
SDK = "github.com/aws/aws-sdk-go-v2/service"
LIST = "internal/provider/sdkv2/service_packages_gen.go"
CLIENTS = "internal/conns/awsclient_gen.go"
SERVICES = ["ec2", "kms", "s3", *(f"other{number}" for number in range(200))]


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    """The shape of the provider's sources: ec2 imports kms, and every service has its SDK client."""
    root = tmp_path / "provider"
    for name in ("main.go", "go.mod", "go.sum", "LICENSE", "names/names.go", "version/version.go"):
        write(root / name, name)
    for service in SERVICES:
        write(root / f"internal/service/{service}/{service}.go", go([f"{SDK}/{service}"], ""))
        write(root / f"internal/service/{service}/{service}_test.go", "")
        write(root / f"internal/service/{service}/smarterr.hcl", "")
    write(root / "internal/service/ec2/ebs.go", go([f"{MODULE}/internal/service/kms"], ""))
    entries = [f"\t\t{service}.ServicePackage(ctx),\n" for service in SERVICES]
    write(root / LIST, go([f"{MODULE}/internal/service/{service}" for service in SERVICES], "".join(entries)))
    write(root / CLIENTS, go([f"{SDK}/{service}" for service in SERVICES], "".join(map(client, SERVICES))))
    return root


def go(imports: list[str], body: str) -> str:
    return "import (\n" + "".join(f'\t"{path}"\n' for path in ["context", *imports]) + f")\n{body}"


def client(service: str) -> str:
    head = f"func (c *AWSClient) {service.title()}Client(ctx context.Context) *{service}.Client {{"
    return f"\n{head}\n\treturn errs.Must(client[*{service}.Client](ctx, c, names.It, make(map[string]any)))\n}}\n"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def reduce(provider: Path) -> "subprocess.CompletedProcess[str]":
    copy = provider.parent / "copy"
    return subprocess.run([REDUCE, provider, copy, "ec2"], capture_output=True, text=True, check=False)


def test_a_service_stays_with_what_it_imports_and_the_others_go(provider: Path) -> None:
    done = reduce(provider)

    copy = provider.parent / "copy"
    assert done.returncode == 0, done.stderr
    assert sorted(folder.name for folder in (copy / "internal/service").iterdir() if list(folder.glob("*.go"))) == [
        "ec2",
        "kms",
    ]
    for generated in (LIST, CLIENTS):
        text = (copy / generated).read_text()
        assert {
            service for service in SERVICES if f"{service}.ServicePackage" in text or f"*{service}.Client" in text
        } == {
            "ec2",
            "kms",
        }
        assert "other" not in text


def test_every_other_file_is_copied_as_it_is_and_tests_are_not(provider: Path) -> None:
    reduce(provider)

    copy = provider.parent / "copy"
    copied = {file.relative_to(copy) for file in copy.rglob("*") if file.is_file()}
    different = {str(name) for name in copied if (copy / name).read_bytes() != (provider / name).read_bytes()}
    assert different == {LIST, CLIENTS}
    assert not [name for name in copied if name.name.endswith("_test.go")]
    assert Path("internal/service/s3/smarterr.hcl") in copied  # all of them are embedded


@pytest.mark.parametrize("generated", [LIST, CLIENTS])
def test_a_generated_file_whose_entries_do_not_match_its_imports_is_refused(provider: Path, generated: str) -> None:
    file = provider / generated
    file.write_text(
        file.read_text().replace("s3.ServicePackage(ctx)", "s3.New(ctx)").replace("*s3.Client {", "*s3.Other {")
    )

    done = reduce(provider)

    assert done.returncode == 1
    assert f"{generated}: its imports and its entries differ by ['s3']" in done.stderr


@pytest.mark.parametrize("generated", [LIST, CLIENTS])
def test_a_generated_file_that_names_only_a_few_services_is_refused(provider: Path, generated: str) -> None:
    write(provider / generated, go([], ""))

    done = reduce(provider)

    assert done.returncode == 1
    assert "0 entries, not one for every service" in done.stderr


def test_a_service_that_the_provider_has_not_is_refused(provider: Path) -> None:
    copy = provider.parent / "copy"
    done = subprocess.run([REDUCE, provider, copy, "ec3"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "internal/service/ec3: there is no such service" in done.stderr
