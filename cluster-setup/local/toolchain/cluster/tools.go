//go:build tools

// Package toolchain names the commands this module builds, so that go.mod and go.sum pin all of what they need.
//
// One module for all programs of a cluster: with one version of each dependency, a third of the packages is compiled for
// all of them together and not again for each. Dependencies are never older than a program's own go.mod asks, but for
// k8s.io's: go.mod replaces each one that k8s.io/kubernetes itself replaces by ./staging (a replace of a dependency is
// ignored, so ours has to say it again), with the published version of the same commit (v0.36.3 for v1.36.3).
package toolchain

import (
	_ "github.com/google/go-containerregistry/cmd/crane"
	_ "helm.sh/helm/v4/cmd/helm"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubeadm"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
