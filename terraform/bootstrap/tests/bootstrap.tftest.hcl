# The state bucket. Planned only, because prevent_destroy would also keep a test from tidying up.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::acme-state" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/1" }
  }
}

run "the_bucket_is_called_after_account_and_region" {
  command = plan
  assert {
    condition     = aws_s3_bucket.state.bucket == "lorikeet-state-111122223333-eu-central-1"
    error_message = aws_s3_bucket.state.bucket
  }
}

run "or_as_it_was_asked" {
  command = plan
  variables {
    bucket = "acme-state"
    region = "us-east-1"
  }
  assert {
    condition     = aws_s3_bucket.state.bucket == "acme-state"
    error_message = aws_s3_bucket.state.bucket
  }
}

run "the_bucket_is_private_versioned_and_encrypted" {
  command = plan
  assert {
    condition     = aws_s3_bucket_public_access_block.state.block_public_acls && aws_s3_bucket_public_access_block.state.block_public_policy && aws_s3_bucket_public_access_block.state.ignore_public_acls && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    error_message = "the bucket can be made public"
  }
  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_ownership_controls.state.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "old versions are lost, or objects can belong to others"
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "objects are not encrypted by KMS"
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.tls_only.policy).Statement : [statement.Effect, statement.Principal, statement.Action, statement.Condition.Bool["aws:SecureTransport"]]] == [["Deny", "*", "s3:*", "false"]] && jsondecode(aws_s3_bucket_policy.tls_only.policy).Statement[0].Resource == [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]
    error_message = aws_s3_bucket_policy.tls_only.policy
  }
}

run "its_key_is_its_own_and_is_rotated" {
  command = plan
  assert {
    condition     = aws_kms_key.state.enable_key_rotation && one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.state.arn
    error_message = "the state is encrypted with another key"
  }
}

run "the_backend_it_prints_locks_and_encrypts" {
  command = plan
  assert {
    condition     = output.backend_hcl == <<-END
      bucket       = "lorikeet-state-111122223333-eu-central-1"
      key          = "g4dn/terraform.tfstate"
      region       = "eu-central-1"
      encrypt      = true
      kms_key_id   = "arn:aws:kms:eu-central-1:111122223333:key/1"
      use_lockfile = true
    END
    error_message = output.backend_hcl
  }
}

run "refused_a_bucket_with_a_quote" {
  command         = plan
  expect_failures = [var.bucket]
  variables {
    bucket = "acme\"state"
  }
}
