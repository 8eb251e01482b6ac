# docket's four programs in one image; the command says which. Debian 12 both to build and to run.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        build-essential cmake ninja-build pkg-config \
        librdkafka-dev libcurl4-openssl-dev libmicrohttpd-dev libuv1-dev libjson-c-dev libpq-dev \
        libhiredis-dev libsodium-dev libssl-dev uthash-dev zlib1g-dev \
        libyaml-dev libzstd-dev libarchive-dev libsqlite3-dev
COPY . /src
WORKDIR /src
RUN cmake --preset release -DBUILD_TESTING=OFF && cmake --build --preset release

FROM debian:12-slim
# curl is there for the health checks; its library is there anyway.
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates curl librdkafka1 libcurl4 libmicrohttpd12 libuv1 libjson-c5 libpq5 libhiredis0.14 \
        libsodium23 libssl3 zlib1g libyaml-0-2 libzstd1 libarchive13 libsqlite3-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin docket \
    && install -d -m 700 -o docket -g docket /var/lib/docket/packages
COPY --from=build /src/build/release/bin/docket-api /src/build/release/bin/docket-callback \
     /src/build/release/bin/docket-worker /src/build/release/bin/docketctl /usr/local/bin/
USER docket
# Inside a container, its own address is the only one that others can reach.
ENV DOCKET_API_LISTEN=0.0.0.0:8080 DOCKET_CALLBACK_LISTEN=0.0.0.0:8081 DOCKET_WORKER_LISTEN=0.0.0.0:8082
STOPSIGNAL SIGTERM
CMD ["docketctl", "--help"]
