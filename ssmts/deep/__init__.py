"""Deep state-space models: layers, networks, one training loop, and the estimators on top. Needs the extra ``deep``."""

try:
    import safetensors  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("Deep models need torch and safetensors: pip install 'ssmts[deep]'.") from error
