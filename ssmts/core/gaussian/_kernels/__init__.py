"""The compiled recursions, on the packed form of a model; what every rung and every stream is made of."""
