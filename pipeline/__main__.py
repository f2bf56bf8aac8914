"""`python -m pipeline`: the command `agc`, for an environment that has no scripts."""

from __future__ import annotations

import sys

from pipeline.cli import main

sys.exit(main())
