"""BuildKit: states lowered to LLB, carried by `buildctl` to a daemon that is found or started."""
