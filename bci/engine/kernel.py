"""How loops over samples are compiled, and sixteen channels at a time.

What a loop over channels is compiled to is left to chance; inside kernels, `load` gives a value
of sixteen float32 that is added, multiplied and compared as one. Where a processor has no
registers so wide, it is taken apart. Values that a loop over time carries stay in registers,
which a loop over channels within one over time would not do.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

F = TypeVar("F", bound=Callable[..., Any])

#: Sums may be re-ordered and products fused, the same way at every call; but infinity and
#: NaN keep their meaning, since an unknown threshold is infinite.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
#: Only what does not re-order.
_FUSED = {"contract", "nsz"}

#: Values at a time: one or two registers, so that one chain of sums waits while another goes on.
LANES: Final = 16
_WIDE = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.IntType(LANES)
_WORD = ir.IntType(64)


def kernel(function: F) -> F:
    """Compile `function` at its first call and keep the result on disk."""
    compile_it = numba.njit(cache=True, fastmath=_FAST, error_model="numpy", nogil=True)
    return cast(F, compile_it(function))


def bare(function: F) -> F:
    """Compile a function that makes no arrays.

    Without numba's own runtime, so that no references are counted: atomic operations, which
    took a third of the time where views are made for every sample.
    """
    options: dict[str, Any] = {"cache": True, "fastmath": _FAST, "nogil": True, "_nrt": False}
    return cast(F, numba.njit(error_model="numpy", **options)(function))


def exact(function: F) -> F:
    """Compile a function that says itself what is done at once; see `Lanes`.

    As `bare`, but sums are made in the order that is written.
    """
    options: dict[str, Any] = {"cache": True, "fastmath": _FUSED, "nogil": True, "_nrt": False}
    return cast(F, numba.njit(error_model="numpy", **options)(function))


def _part(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of kernels that says in LLVM's terms what it is compiled to."""
    return cast(Callable[..., Any], intrinsic(define))


class Lanes(numba.types.Type):
    """The type of sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES = Lanes()


def _typed(template: Any, args: Any, named: Any) -> Any:
    """Say that an operator gives `Lanes` where it is given two of these."""
    if args == (_LANES, _LANES):
        return signature(_LANES, _LANES, _LANES)  # type: ignore[no-untyped-call]
    return None


def _lowered(name: str) -> Callable[..., Any]:
    """Return what an operator is compiled to: LLVM's instruction `name`."""
    return lambda context, builder, kind, args: getattr(builder, name)(*args)


register_model(Lanes)(lambda manager, kind: models.PrimitiveModel(manager, kind, _WIDE))  # type: ignore[no-untyped-call]
for _operator, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _template = type(f"Lanes_{_name}", (AbstractTemplate,), {"generic": _typed})
    infer_global(_operator)(_template)  # type: ignore[no-untyped-call]
    lower_builtin(_operator, _LANES, _LANES)(_lowered(_name))  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, wide: Any) -> Any:
    """Return where item `at` of a contiguous array of any shape is, as a vector's address."""
    data = make_array(kind)(context, builder, array).data  # type: ignore[no-untyped-call]
    return builder.bitcast(builder.gep(data, [at]), wide.as_pointer())


def _loaded(builder: Any, place: Any, align: int) -> Any:
    found = builder.load(place)
    found.align = align
    return found


@_part
def load(typing: Any, array: Any, at: Any) -> Any:
    """Return the items from `at` on of a contiguous float32 array, counted as if flat."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        return _loaded(builder, _place(context, builder, kind.args[0], args[0], args[1], _WIDE), 4)

    return _LANES(array, numba.types.intp), build


@_part
def convert(typing: Any, array: Any, at: Any) -> Any:
    """Return the items from `at` on of a contiguous int16 array, as float32."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.IntType(16), LANES)
        found = _loaded(builder, _place(context, builder, kind.args[0], args[0], args[1], wide), 2)
        return builder.sitofp(found, _WIDE)

    return _LANES(array, numba.types.intp), build


@_part
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Put `value` into the items from `at` on of a contiguous float32 array."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        place = _place(context, builder, kind.args[0], args[0], args[1], _WIDE)
        builder.store(args[2], place).align = 4
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp, _LANES), build


@_part
def every(typing: Any, value: Any) -> Any:
    """Return sixteen times the same float32."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        one = builder.insert_element(ir.Constant(_WIDE, ir.Undefined), args[0], _WORD(0))
        zero = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_WIDE, ir.Undefined), zero)

    return _LANES(numba.types.float32), build


@_part
def within(typing: Any, value: Any, most: Any) -> Any:
    """Return `value` where that is from ``-most`` to `most`, and the nearer of these elsewhere."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        value, most = args
        value = builder.select(builder.fcmp_ordered(">", value, most), most, value)
        least = builder.fneg(most)
        return builder.select(builder.fcmp_ordered("<", value, least), least, value)

    return _LANES(_LANES, _LANES), build


@_part
def total(typing: Any, value: Any) -> Any:
    """Return the sum of the sixteen: halves first, so that it is the same on any processor."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        found, width = args[0], LANES
        while width > 1:
            width //= 2
            parts = [
                builder.shuffle_vector(found, found, _numbers(first, width)) for first in (0, width)
            ]
            found = builder.fadd(*parts)
        return builder.extract_element(found, _WORD(0))

    return numba.types.float32(_LANES), build


def _numbers(first: int, count: int) -> Any:
    kind = ir.VectorType(ir.IntType(32), count)
    return ir.Constant(kind, list(range(first, first + count)))


def _compared(sign: str) -> Any:
    """Return a kernel's function of two values that gives a word, a bit for each of sixteen."""

    @_part
    def compare(typing: Any, one: Any, other: Any) -> Any:
        def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
            found = builder.fcmp_ordered(sign, *args)
            return builder.zext(builder.bitcast(found, _BITS), _WORD)

        return numba.types.uint64(_LANES, _LANES), build

    return compare


below, at_most = _compared("<"), _compared("<=")


@_part
def size(typing: Any, value: Any) -> Any:
    """Return absolute values."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        kind = ir.FunctionType(_WIDE, [_WIDE])
        name = f"llvm.fabs.v{LANES}f32"
        return builder.call(get_or_insert_function(builder.module, kind, name), args)  # type: ignore[no-untyped-call]

    return _LANES(_LANES), build


def _counting(name: str, more: int) -> Any:
    """Return a kernel's function of a word, LLVM's `name`, that gives an int64."""

    @_part
    def count(typing: Any, word: Any) -> Any:
        def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
            function = builder.module.declare_intrinsic(
                name, [_WORD], ir.FunctionType(_WORD, [_WORD, *[ir.IntType(1)] * more])
            )
            return builder.call(function, [args[0], *[ir.IntType(1)(0)] * more])

        return numba.types.int64(numba.types.uint64), build

    return count


#: Ones in a word; and the place of its first one.
ones, first_one = _counting("llvm.ctpop", 0), _counting("llvm.cttz", 1)


@_part
def fetch(typing: Any, array: Any, at: Any) -> Any:
    """Have the cache line of item `at` of a contiguous array brought near; it may lie outside."""

    def build(context: Any, builder: Any, kind: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = _place(context, builder, kind.args[0], args[0], args[1], ir.IntType(8))
        function = get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0i8",
        )
        builder.call(function, [place, number(0), number(2), number(1)])
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp), build
