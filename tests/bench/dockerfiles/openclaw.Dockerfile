# OpenClaw, on any of the bases.
ARG BASE
FROM ${BASE}
ARG VERSION
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
USER root
RUN --mount=type=cache,target=/root/.npm \
    npm install --global --prefix=/usr/local --no-audit --no-fund --allow-scripts=openclaw openclaw@${VERSION}
ENV OPENCLAW_DISABLE_BONJOUR=1 \
    OPENCLAW_STATE_DIR=/home/dev/.openclaw
USER dev
CMD ["openclaw", "gateway", "--allow-unconfigured", "--bind", "lan"]
