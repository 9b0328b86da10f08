# syntax=docker/dockerfile:1
# The static release binary in an image without a shell; `tools/image` makes the same without a Docker daemon.
#
#   docker build -t smartgate --build-arg SMARTGATE_COMMIT=$(git rev-parse --short=12 HEAD) --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
#   docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges \
#     -p 8080:8080 -v ./conf:/etc/smartgate:ro -v smartgate-state:/var/lib/smartgate smartgate
#
# Mount the configuration at /etc/smartgate (the whole folder, so that a changed ConfigMap is noticed), listen on 0.0.0.0 in it,
# and put the store at sqlite:/var/lib/smartgate/smartgate.db; the gate writes nowhere else. Both bases can be others, such as a
# mirror's or one by its digest: --build-arg RUNTIME=gcr.io/distroless/static-debian12@sha256:…

ARG BUILD=rust:1.95-bookworm
ARG RUNTIME=gcr.io/distroless/static-debian12:nonroot

FROM ${BUILD} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
COPY templates templates
# What `smartgate --version` tells.
ARG SMARTGATE_COMMIT
ARG SOURCE_DATE_EPOCH
# With spans for OpenTelemetry: who takes an image cannot choose, and they cost nothing until they are configured.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --features otel --target "$(rustc --print host-tuple)"
RUN mv target/*-linux-gnu/release/smartgate /smartgate && mkdir /state

FROM ${RUNTIME}
ARG SMARTGATE_COMMIT
LABEL org.opencontainers.image.title="smartgate" \
      org.opencontainers.image.description="SMART on FHIR in front of any FHIR server" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${SMARTGATE_COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /smartgate /smartgate
COPY --from=build --chown=65532:65532 /state /var/lib/smartgate
COPY LICENSE /LICENSE
ENV SMARTGATE_CONFIG=/etc/smartgate/smartgate.toml
USER 65532:65532
VOLUME /var/lib/smartgate
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# For engines that ask the image; Kubernetes asks /healthz and /readyz on the admin listener itself.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/smartgate", "ready"]
ENTRYPOINT ["/smartgate"]
CMD ["run"]
