# Claude Code, on any of the bases.
ARG BASE
FROM ${BASE}
ARG VERSION
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
USER root
RUN --mount=type=cache,target=/root/.npm \
    npm install --global --prefix=/usr/local --no-audit --no-fund --allow-scripts=@anthropic-ai/claude-code @anthropic-ai/claude-code@${VERSION}
ENV CLAUDE_CONFIG_DIR=/home/dev/.claude \
    DISABLE_AUTOUPDATER=1 \
    DISABLE_UPDATES=1
USER dev
CMD ["claude"]
