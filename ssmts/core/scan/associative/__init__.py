"""The associative scan: all prefixes e[0], e[0] e[1], e[0] e[1] e[2] ... of an associative product, in a depth of log n.

>>> import torch
>>> from ssmts.core.scan.associative import associative_reduce, associative_scan
>>> def add(left, right):
...     return (left[0] + right[0],)
>>> associative_scan(add, (torch.arange(5),))[0]
tensor([ 0,  1,  3,  6, 10])
>>> associative_reduce(add, (torch.arange(5),))[0]
tensor([10])
"""

from ssmts.core.scan.associative._torch import associative_reduce, associative_scan

__all__ = ["associative_reduce", "associative_scan"]
