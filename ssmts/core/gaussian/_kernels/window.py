"""Windows onto a flat array inside compiled functions.

A slice that is reshaped costs some 30 ns in numba, for a check of strides and two counts of references; a stream looks at a
dozen pieces of its flat state in a row that takes 200 ns. A window only lays a shape over memory. It keeps nothing alive, so
it must not outlive the call in which the flat array was handed over.
"""

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


def _window(flat: Any, n_axes: int) -> Any:
    """The typed signature of a window with so many axes, and what builds it."""
    view = types.Array(flat.dtype, n_axes, "C")

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = make_array(signature.args[0])(context, builder, args[0])
        strides = [context.get_constant(types.intp, context.get_abi_sizeof(whole.data.type.pointee))]
        for size in reversed(args[3:]):
            strides.insert(0, builder.mul(size, strides[0]))
        made = make_array(view)(context, builder)
        nobody = [cgutils.get_null_value(owner.type) for owner in (whole.meminfo, whole.parent)]
        populate_array(
            made,
            data=builder.gep(whole.data, [args[1]]),
            shape=list(args[2:]),
            strides=strides,
            itemsize=strides[-1],
            meminfo=nobody[0],
            parent=nobody[1],
        )
        return made._getvalue()

    return view(flat, types.intp, *[types.intp] * n_axes), build


@intrinsic
def vector(typingctx: Any, flat: Any, first: Any, size: Any) -> Any:
    """The `size` entries from `first` on."""
    return _window(flat, 1)


@intrinsic
def matrix(typingctx: Any, flat: Any, first: Any, lines: Any, columns: Any) -> Any:
    """The entries from `first` on as so many lines and columns."""
    return _window(flat, 2)


@intrinsic
def cube(typingctx: Any, flat: Any, first: Any, sheets: Any, lines: Any, columns: Any) -> Any:
    """The entries from `first` on as so many sheets of lines and columns."""
    return _window(flat, 3)
