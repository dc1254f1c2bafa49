# shellcheck shell=bash
# shellcheck disable=SC2154  # root, setup, cache and ENGINE are set by the script that sources this
# The demo's images. A tag is the hash of what the image is made of, so that a changed source is a new image and a new
# rollout, and an unchanged one is built and loaded once.

# made_of PATH…: 12 hex digits of the files' contents, as they are in the work tree.
made_of() {
  (cd "$root" && git ls-files -co --exclude-standard -- "$@" | sort | xargs sha256sum | sha256sum | cut -c1-12)
}

# build_once NAME:TAG DOCKERFILE [ARGUMENT…]
build_once() {
  local image=$1 dockerfile=$2
  shift 2
  image_exists "$image" || "$setup/build-image" "$root/$dockerfile" "$image" "$@"
}

image_exists() { STORAGE_DRIVER=overlay buildah inspect --type image "$1" >/dev/null 2>&1 || docker image inspect "$1" >/dev/null 2>&1; }

name_images() {
  lorikeet_tag=$(made_of operator/src operator/pyproject.toml operator/requirements images/lorikeet)
  testing_tag=$(made_of operator/src operator/pyproject.toml operator/requirements images/testing)
  lorikeet_image=lorikeet:$lorikeet_tag
  testing_image=lorikeet-testing:$testing_tag
  hub_image=lorikeet-demo-hub:$ENGINE-$(made_of operator/src images/testing models demo/repositories.py demo/hub.Dockerfile)
  if [[ $ENGINE == sim ]]; then
    engine_image=$testing_image
  else
    engine_image=lorikeet-engine-cpu:$(made_of images/engine-cpu)
  fi
}

build_our_images() {
  build_once "$lorikeet_image" images/lorikeet/Dockerfile
  build_once "$testing_image" images/testing/Dockerfile
}

build_hub_image() {
  image_exists "$hub_image" && return
  local models=()
  [[ $ENGINE == sim ]] || models=("$("$root/models/train")") # the simulator needs no weights, so nothing is trained for it
  "$root/.venv/bin/python" "$root/demo/repositories.py" "$root/build/demo-hub" "${models[@]}"
  build_once "$hub_image" demo/hub.Dockerfile --build-arg "TESTING=$testing_image"
}

build_engine_image() { [[ $ENGINE == sim ]] || build_once "$engine_image" images/engine-cpu/Dockerfile; }
