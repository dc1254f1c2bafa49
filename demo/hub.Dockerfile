# The demo's model hub: the test hub with the demo's repositories in it.
ARG TESTING=lorikeet-testing:dev
FROM ${TESTING}
COPY build/demo-hub /hub
