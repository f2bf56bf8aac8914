# Codex CLI, on any of the bases.
ARG BASE
FROM ${BASE}
ARG VERSION
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
USER root
RUN --mount=type=cache,target=/root/.npm \
    npm install --global --prefix=/usr/local --no-audit --no-fund @openai/codex@${VERSION}
ENV CODEX_HOME=/home/dev/.codex
USER dev
CMD ["codex"]
