# shellcheck shell=bash
# What every script of this folder begins with: what Terraform told this host, and loudness. The variables are exported, so
# that steps and the AWS CLI see them; AWS_ENDPOINT_URL, where it is set, leads the CLI to another server than AWS's.

setup=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../say.sh
source "$setup/say.sh"
node_env=${LORIKEET_NODE_ENV:-/etc/lorikeet/node.env}
[[ -f $node_env ]] || fail "there is no $node_env: it says LORIKEET_NODE, LORIKEET_ROLE, LORIKEET_JOIN_PARAMETER and AWS_REGION, and comes with the host's user data"
set -a
# shellcheck source=/dev/null
source "$node_env"
set +a
export HOME=${HOME:-/root} PATH=$PATH:/snap/bin # a timer's environment has neither
: "${LORIKEET_NODE:?not in $node_env}" "${LORIKEET_ROLE:?not in $node_env}" "${LORIKEET_JOIN_PARAMETER:?not in $node_env}" "${AWS_REGION:?not in $node_env}"
export AWS_DEFAULT_REGION=$AWS_REGION # the name that version 1 of the CLI knows
