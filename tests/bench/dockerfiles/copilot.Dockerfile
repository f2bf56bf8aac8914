# GitHub Copilot CLI, on any of the bases.
ARG BASE
FROM ${BASE}
ARG VERSION
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
USER root
RUN --mount=type=cache,target=/root/.npm \
    npm install --global --prefix=/usr/local --no-audit --no-fund @github/copilot@${VERSION}
ENV COPILOT_HOME=/home/dev/.copilot \
    COPILOT_CACHE_HOME=/home/dev/.cache/copilot \
    COPILOT_AUTO_UPDATE=false
USER dev
CMD ["copilot"]
