# The bucket for adapters: who reads it, and how.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::acme-adapters" }
  }
}

variables {
  bucket       = "acme-adapters"
  reader_roles = { worker = "birds-worker" }
}

run "the_role_reads_this_bucket_and_writes_nothing" {
  assert {
    condition     = aws_iam_role_policy.read["worker"].role == "birds-worker"
    error_message = "role: ${aws_iam_role_policy.read["worker"].role}"
  }
  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.read["worker"].policy).Statement : statement.Resource => statement.Action } == { "arn:aws:s3:::acme-adapters" = ["s3:ListBucket", "s3:ListBucketVersions"], "arn:aws:s3:::acme-adapters/*" = ["s3:GetObject", "s3:GetObjectVersion"] }
    error_message = aws_iam_role_policy.read["worker"].policy
  }
}

run "the_bucket_is_private_versioned_and_encrypted" {
  assert {
    condition     = aws_s3_bucket_public_access_block.adapters.block_public_acls && aws_s3_bucket_public_access_block.adapters.block_public_policy && aws_s3_bucket_public_access_block.adapters.ignore_public_acls && aws_s3_bucket_public_access_block.adapters.restrict_public_buckets
    error_message = "the bucket can be made public"
  }
  assert {
    condition     = aws_s3_bucket_versioning.adapters.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_ownership_controls.adapters.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "old versions are lost, or objects can belong to others"
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.adapters.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "objects are not encrypted by KMS"
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.tls_only.policy).Statement : [statement.Effect, statement.Principal, statement.Action, statement.Condition.Bool["aws:SecureTransport"]]] == [["Deny", "*", "s3:*", "false"]] && jsondecode(aws_s3_bucket_policy.tls_only.policy).Statement[0].Resource == [aws_s3_bucket.adapters.arn, "${aws_s3_bucket.adapters.arn}/*"]
    error_message = aws_s3_bucket_policy.tls_only.policy
  }
}

run "an_adapter_there_is_named_by_uri" {
  assert {
    condition     = output.uri == "s3://${output.bucket}/"
    error_message = output.uri
  }
}

run "refused_a_bucket_with_a_path" {
  command         = plan
  expect_failures = [var.bucket]
  variables {
    bucket = "acme/adapters"
  }
}

run "refused_a_bucket_in_capitals" {
  command         = plan
  expect_failures = [var.bucket]
  variables {
    bucket = "Acme"
  }
}

run "refused_a_bucket_with_a_quote" {
  command         = plan
  expect_failures = [var.bucket]
  variables {
    bucket = "acme'adapters"
  }
}

run "refused_a_bucket_of_two_letters" {
  command         = plan
  expect_failures = [var.bucket]
  variables {
    bucket = "ab"
  }
}
