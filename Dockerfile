# Careen's server. The image holds the binary and nothing else.
#   docker build -t careen:0.1.0 .
FROM docker.io/library/node:22-bookworm-slim AS graphiql
WORKDIR /graphiql
COPY api/graphiql .
RUN ./build

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /careen
COPY . .
COPY --from=graphiql /graphiql/dist api/graphiql/dist
# Without the cluster in memory of `careen demo`.
RUN cargo build --locked --release --package careen --no-default-features

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /careen/target/release/careen /usr/local/bin/careen
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["careen"]
