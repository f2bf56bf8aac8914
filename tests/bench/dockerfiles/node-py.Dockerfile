# Node.js, Bun, Python and uv on Debian, as one would write it by hand.
FROM debian:trixie-slim
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
         bash \
         ca-certificates \
         curl \
         diffutils \
         file \
         git \
         jq \
         less \
         libatomic1 \
         openssh-client \
         patch \
         procps \
         python-is-python3 \
         python3 \
         python3-venv \
         ripgrep \
         tini \
         unzip \
         xz-utils \
    && rm -rf /usr/share/man /usr/share/info /var/log/apt /var/log/dpkg.log

RUN groupadd --gid 1000 dev \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash dev \
    && install -d -o dev -g dev /workspace

ARG NPM_REGISTRY=https://registry.npmjs.org
ARG NODE_ARCHIVE
ARG NODE_SHA256
ARG NPM_ARCHIVE
ARG NPM_SHA256
RUN curl -fsSL -o /tmp/node.tgz "$NPM_REGISTRY/$NODE_ARCHIVE" \
    && curl -fsSL -o /tmp/npm.tgz "$NPM_REGISTRY/$NPM_ARCHIVE" \
    && printf '%s  %s\n' "$NODE_SHA256" /tmp/node.tgz "$NPM_SHA256" /tmp/npm.tgz | sha256sum --check --quiet \
    && mkdir -p /usr/local/lib/node_modules/npm \
    && tar -xzf /tmp/node.tgz -C /usr/local --strip-components=1 --no-same-owner \
         --exclude=package/share --exclude=package/include/node/openssl/archs \
    && tar -xzf /tmp/npm.tgz -C /usr/local/lib/node_modules/npm --strip-components=1 --no-same-owner \
         --exclude=package/man --exclude=package/docs \
    && chmod 755 /usr/local/bin/node \
    && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
    && rm /tmp/node.tgz /tmp/npm.tgz

ARG BUN_ARCHIVE
ARG BUN_SHA256
RUN curl -fsSL -o /tmp/bun.tgz "$NPM_REGISTRY/$BUN_ARCHIVE" \
    && printf '%s  %s\n' "$BUN_SHA256" /tmp/bun.tgz | sha256sum --check --quiet \
    && tar -xzf /tmp/bun.tgz -C /usr/local --strip-components=1 --no-same-owner package/bin/bun \
    && chmod 755 /usr/local/bin/bun \
    && ln -s bun /usr/local/bin/bunx \
    && rm /tmp/bun.tgz

ARG PYPI_FILES=https://files.pythonhosted.org
ARG UV_WHEEL
ARG UV_SHA256
RUN curl -fsSL -o /tmp/uv.whl "$PYPI_FILES/$UV_WHEEL" \
    && printf '%s  %s\n' "$UV_SHA256" /tmp/uv.whl | sha256sum --check --quiet \
    && python3 -m zipfile -e /tmp/uv.whl /tmp/uv \
    && install -m 755 /tmp/uv/uv-*.data/scripts/uv /tmp/uv/uv-*.data/scripts/uvx /usr/local/bin \
    && rm -r /tmp/uv /tmp/uv.whl

ENV LANG=C.UTF-8 \
    NPM_CONFIG_PREFIX=/home/dev/.local \
    NPM_CONFIG_UPDATE_NOTIFIER=false
USER dev
WORKDIR /workspace
ENTRYPOINT ["tini", "--"]
CMD ["bash"]
