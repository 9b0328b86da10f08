# The release binary in an image without a shell.
#
#   docker build -t smartgate .
#   docker run -p 8080:8080 -v ./conf:/etc/smartgate:ro -v smartgate-state:/var/lib/smartgate smartgate
#
# Mount the configuration at /etc/smartgate (the whole folder, so that a changed ConfigMap is noticed), listen on 0.0.0.0 in it,
# and put the store at sqlite:/var/lib/smartgate/smartgate.db. There is nothing in here that could ask `/healthz` and `/readyz`:
# let the orchestrator do it, on the admin listener.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY src src
COPY templates templates
RUN cargo build --locked --release
RUN mkdir -p /state

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Smartgate" \
      org.opencontainers.image.description="SMART on FHIR in front of any FHIR server" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /build/target/release/smartgate /smartgate
COPY --from=build --chown=65532:65532 /state /var/lib/smartgate
COPY LICENSE /LICENSE
ENV SMARTGATE_CONFIG=/etc/smartgate/smartgate.toml
USER 65532:65532
VOLUME /var/lib/smartgate
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/smartgate"]
CMD ["run"]
