output "backend_hcl" {
  description = "The backend configuration: terraform output -raw backend_hcl >../envs/g4dn/backend.hcl"
  value       = <<-END
    bucket       = "${aws_s3_bucket.state.bucket}"
    key          = "g4dn/terraform.tfstate"
    region       = "${var.region}"
    encrypt      = true
    kms_key_id   = "${aws_kms_key.state.arn}"
    use_lockfile = true
  END
}
