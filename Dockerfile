# Cobuild in a container. Sandboxes need user namespaces, which Docker's default seccomp profile forbids; the README
# says how to run it and what that means. Without them everything but running projects works.
#
#   docker build -t cobuild .
#   docker run -p 3100:3100 -v cobuild:/data cobuild

FROM node:22-bookworm-slim AS page
WORKDIR /src/web-demo
COPY web-demo/package.json web-demo/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY web-demo ./
RUN npm run build

FROM rust:1.95-bookworm AS server
WORKDIR /src
COPY . .
COPY --from=page /src/web-demo/dist web-demo/dist
RUN cargo build --release --locked --bin cobuild

FROM node:22-bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap ca-certificates git tini \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o node -g node /data
COPY --from=server /src/target/release/cobuild /usr/local/bin/cobuild
USER node
# Two arenas of the allocator instead of eight per core: less than half the memory (docs/performance.md).
ENV HOST=0.0.0.0 DATA_DIR=/data MALLOC_ARENA_MAX=2
VOLUME /data
EXPOSE 3100
ENTRYPOINT ["tini", "--", "cobuild"]
CMD ["serve"]
