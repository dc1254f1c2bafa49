//go:build tools

// Package toolchain names the command this module builds, so that go.mod and go.sum pin all of what it needs.
//
// The go.mod beside it replaces each module that Terraform itself replaces by a folder of its own source tree: a replace of a
// dependency is ignored, so ours has to say it again, with the published version of the same commit.
package toolchain

import _ "github.com/hashicorp/terraform"
