# SPDX-License-Identifier: GPL-2.0-or-later
# The four demo services, a target each: docker build -f tools/deploy/docker/services.Dockerfile
# --target db-service -t db-service . (also auth-service, product-service, payment-service).
# BUILD is any Debian 12, from a registry or from `docker import`; BASE is scratch or a Debian 12.
# The first stage is that of agent.Dockerfile, word for word: it is built once.
ARG BUILD=debian:bookworm
ARG BASE=scratch

FROM ${BUILD} AS build
WORKDIR /src
COPY tools/setup.sh tools/
RUN tools/setup.sh image
COPY . .
ARG JOBS
RUN tools/deploy/docker/rootfs.sh /out

FROM ${BASE} AS common
COPY --from=build /out/services/ /
USER 65532:65532
STOPSIGNAL SIGTERM

FROM common AS auth-service
COPY --from=build /out/bin/auth-service /usr/bin/
EXPOSE 8001
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=5 CMD ["/usr/bin/archaic-load", "http", "http://127.0.0.1:8001/health", "-n", "1", "-c", "1", "-t", "2s", "--threshold", "http_req_failed:rate<1"]
ENTRYPOINT ["/usr/bin/auth-service"]
CMD ["--listen", "0.0.0.0"]

FROM common AS db-service
COPY --from=build /out/bin/db-service /usr/bin/
EXPOSE 8002
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=5 CMD ["/usr/bin/archaic-load", "http", "http://127.0.0.1:8002/health", "-n", "1", "-c", "1", "-t", "2s", "--threshold", "http_req_failed:rate<1"]
ENTRYPOINT ["/usr/bin/db-service"]
CMD ["--listen", "0.0.0.0"]

FROM common AS product-service
COPY --from=build /out/bin/product-service /usr/bin/
EXPOSE 8003
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=5 CMD ["/usr/bin/archaic-load", "http", "http://127.0.0.1:8003/health", "-n", "1", "-c", "1", "-t", "2s", "--threshold", "http_req_failed:rate<1"]
ENTRYPOINT ["/usr/bin/product-service"]
CMD ["--listen", "0.0.0.0"]

FROM common AS payment-service
COPY --from=build /out/bin/payment-service /usr/bin/
EXPOSE 8004
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=5 CMD ["/usr/bin/archaic-load", "http", "http://127.0.0.1:8004/health", "-n", "1", "-c", "1", "-t", "2s", "--threshold", "http_req_failed:rate<1"]
ENTRYPOINT ["/usr/bin/payment-service"]
CMD ["--listen", "0.0.0.0"]
