//go:build tools

// Package toolchain names the command this module builds, so that go.mod and go.sum pin all of what it needs.
package toolchain

import _ "helm.sh/helm/v4/cmd/helm"
