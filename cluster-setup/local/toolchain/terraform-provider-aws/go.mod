// Pins the sources that ./reduce copies. Nothing is built in this module: the copy is built with the provider's own go.mod
// and go.sum, so `go mod tidy` has nothing to find here and would empty this file.
module lorikeet.dev/toolchain

go 1.26.0

require github.com/hashicorp/terraform-provider-aws v1.60.1-0.20260602190131-5f2286d6d836
