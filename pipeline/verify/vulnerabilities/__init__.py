"""What is known to be wrong with the packages of an image, and whether that keeps it from being published.

Components come from an SBOM, findings from a scanner behind one Protocol, the verdict from a policy and what was
written down in `definitions/vex/`. Same inputs, same verdict: the clock and the database's date are arguments.
"""
