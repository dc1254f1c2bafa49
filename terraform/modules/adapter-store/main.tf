# A private bucket for adapters, and the right to read it.

resource "aws_s3_bucket" "adapters" {
  #checkov:skip=CKV_AWS_18:Access logs need a second bucket, and CloudTrail's data events tell the same to those who want it.
  #checkov:skip=CKV_AWS_144:Adapters can be uploaded again; a copy in another region doubles the price.
  #checkov:skip=CKV2_AWS_62:Nothing listens for new adapters: the operator looks at what LoRAAdapter objects name.
  bucket = var.bucket
}

resource "aws_s3_bucket_versioning" "adapters" {
  bucket = aws_s3_bucket.adapters.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "adapters" {
  bucket = aws_s3_bucket.adapters.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "adapters" {
  bucket     = aws_s3_bucket.adapters.id
  depends_on = [aws_s3_bucket_versioning.adapters]

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "adapters" {
  bucket = aws_s3_bucket.adapters.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "adapters" {
  bucket = aws_s3_bucket.adapters.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "tls_only" {
  bucket = aws_s3_bucket.adapters.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TLSOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.adapters.arn, "${aws_s3_bucket.adapters.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
  depends_on = [aws_s3_bucket_public_access_block.adapters]
}

resource "aws_iam_role_policy" "read" {
  for_each = var.reader_roles

  name = "read-adapters"
  role = each.value
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "List", Effect = "Allow", Action = ["s3:ListBucket", "s3:ListBucketVersions"], Resource = aws_s3_bucket.adapters.arn },
      { Sid = "Read", Effect = "Allow", Action = ["s3:GetObject", "s3:GetObjectVersion"], Resource = "${aws_s3_bucket.adapters.arn}/*" },
    ]
  })
}
