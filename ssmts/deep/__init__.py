"""Deep state-space models: layers, networks, one training loop, and the estimators on top. Needs the extra ``deep``."""
