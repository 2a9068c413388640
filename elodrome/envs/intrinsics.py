"""Intrinsics that keep the engines fast: uncounted rows, rules from their addresses, floats and shorts among words.

``array[b]`` in compiled code counts references with atomic operations on the parent: measured here, that made a
batched step ten times slower than the rules themselves, and slower still on two threads. ``row(array, b)`` is the
same view, uncounted; it must not outlive the array it looks into.

A tuple of compiled functions, handed to an engine as such, costs half a millisecond per call to unbox (numba asks
Python for every address, holding the interpreter lock). ``rules_of(header)`` makes the same tuple of first-class
functions inside compiled code from addresses that were asked for once.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic
from numba.np.arrayobj import make_array

from elodrome.envs.signatures import RULES


def _row(typingctx: Any, array: Any, index: Any) -> Any:
    """``array[index]`` of a C-contiguous 2-D array, without a reference count and without a bounds check."""
    if not (isinstance(array, types.Array) and array.ndim == 2 and array.layout == "C"):
        return None
    view_type = types.Array(array.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parent = make_array(array)(context, builder, args[0])
        view = make_array(view_type)(context, builder)
        at = context.cast(builder, args[1], index, types.intp)
        columns = builder.extract_value(parent.shape, 1)
        stride = builder.extract_value(parent.strides, 1)
        data = builder.gep(parent.data, [builder.mul(at, columns)])
        size = context.get_constant(types.intp, 1)
        view.data = data
        view.shape = cgutils.pack_array(builder, [columns])
        view.strides = cgutils.pack_array(builder, [stride])
        view.nitems = builder.mul(size, columns)
        view.itemsize = parent.itemsize
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return view_type(array, index), codegen


def _rules_of(typingctx: Any, header: Any) -> Any:
    """The rules of a world as a tuple of first-class functions; header[i] is the address of the i-th."""
    if not (isinstance(header, types.Array) and header.ndim == 1):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(header)(context, builder, args[0])
        pointers = []
        for i, function_type in enumerate(RULES.types):
            word = builder.load(builder.gep(array.data, [context.get_constant(types.intp, i)]))
            pointers.append(_function(context, builder, function_type, word))
        return context.make_tuple(builder, RULES, pointers)

    return RULES(header), codegen


def _function(context: Any, builder: Any, function_type: Any, word: Any) -> Any:
    function = cgutils.create_struct_proxy(function_type)(context, builder)
    function.jit_addr = builder.inttoptr(word, context.get_value_type(types.voidptr))
    return function._getvalue()


def function_at(signature: Any) -> Any:
    """An intrinsic that makes a first-class function of this signature from its address, an int64."""
    function_type = types.FunctionType(signature)

    def _function_at(typingctx: Any, address: Any) -> Any:
        if not isinstance(address, types.Integer):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _function(context, builder, function_type, args[0])

        return function_type(types.int64), codegen

    return intrinsic(_function_at)


def _real(typingctx: Any, word: Any) -> Any:
    """The float64 whose bits an int64 word holds (``game.pack_floats`` laid it there)."""
    if not isinstance(word, types.Integer) or word.bitwidth != 64:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(word), codegen


def _shorts(typingctx: Any, words: Any, offset: Any, count: Any) -> Any:
    """``count`` int16 numbers that lie in an int64 row from the word ``offset`` on, four to a word; uncounted."""
    if not (isinstance(words, types.Array) and words.ndim == 1 and words.layout == "C" and words.dtype == types.int64):
        return None
    view_type = types.Array(types.int16, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parent = make_array(words)(context, builder, args[0])
        view = make_array(view_type)(context, builder)
        at = context.cast(builder, args[1], offset, types.intp)
        length = context.cast(builder, args[2], count, types.intp)
        size = context.get_constant(types.intp, 2)
        view.data = builder.bitcast(builder.gep(parent.data, [at]), view.data.type)
        view.shape = cgutils.pack_array(builder, [length])
        view.strides = cgutils.pack_array(builder, [size])
        view.nitems = length
        view.itemsize = size
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return view_type(words, offset, count), codegen


def _ask(typingctx: Any, address: Any, action: Any, word: Any) -> Any:
    """What the C function ``int64 (int64 action, uint64 word)`` at an address answers."""
    if not isinstance(address, types.Integer):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        long = context.get_value_type(types.int64)
        function = builder.inttoptr(args[0], ir.FunctionType(long, [long, long]).as_pointer())
        return builder.call(function, [args[1], args[2]])

    return types.int64(types.int64, types.int64, types.uint64), codegen


row: Any = intrinsic(_row)
real: Any = intrinsic(_real)
shorts: Any = intrinsic(_shorts)
rules_of: Any = intrinsic(_rules_of)
ask: Any = intrinsic(_ask)


def address_of(function: Any) -> int:
    """The address of a function compiled with one explicit signature, by numba's own calling convention."""
    (result,) = function.overloads.values()
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
