# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon, as an image: docker build -f tools/deploy/docker/agent.Dockerfile -t archaic-ebpf .
# BUILD is any Debian 12, from a registry or from `docker import`; BASE is scratch or a Debian 12.
# It starts as root, since BPF needs capabilities; which, docker-compose.yml says.
ARG BUILD=debian:bookworm
ARG BASE=scratch

FROM ${BUILD} AS build
WORKDIR /src
COPY tools/setup.sh tools/
RUN tools/setup.sh image
COPY . .
ARG JOBS
RUN tools/deploy/docker/rootfs.sh /out

FROM ${BASE}
COPY --from=build /out/agent/ /
# 8005 operator, 8006 detector and /metrics, 7000 dashboard, 8080 chaos control
EXPOSE 7000 8005 8006 8080
VOLUME ["/run/archaic-ebpf", "/var/lib/archaic-ebpf"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/bin/archaic-ebpf", "mode"]
# SIGKILL would leave faults to the guardian.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/archaic-ebpf"]
CMD ["run"]
