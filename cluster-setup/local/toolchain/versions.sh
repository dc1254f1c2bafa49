# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this file
# What terraform/ is tried with; ../../versions.sh has what a cluster runs. The go.mod files beside this one must agree.

TERRAFORM_VERSION=v1.11.4

# The module proxy has the provider's releases up to v1.60.0, and one commit of its main branch: 6.47.1 in the making.
TERRAFORM_PROVIDER_AWS_VERSION=v1.60.1-0.20260602190131-5f2286d6d836
# The services that terraform/ uses, of the provider's 270: see terraform-provider-aws/reduce.
TERRAFORM_PROVIDER_AWS_SERVICES="ec2 iam kms meta s3 ssm sts"
