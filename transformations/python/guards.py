"""What a Python script may reach: attribute guards, the class maker, built-ins.

Everything is an allow-list by exact type. A script's own classes have a metaclass of their own, so
that their attributes are told from the host's.
"""

from __future__ import annotations

import builtins
import operator
import string
from _string import formatter_field_name_split  # type: ignore[import-not-found]  # str.format's own parser
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, GeneratorType
from typing import Any

from transformations.python.names import hide
from transformations.python.policy import BLOCKED, CORE, MAGIC, NATIVE, public

__all__ = ["BUILTINS", "GUARDS", "View", "override", "permit", "read"]

_READABLE: dict[type, frozenset[str]] = {kind: public(kind) for kind in CORE}
"""Exact type → attributes that may be read, on its instances and on the type itself."""
_OVERRIDES: dict[tuple[type, str], Any] = {}
"""(type, attribute) → what a script gets instead, whether it asks the type or an instance."""


def permit(*kinds: type, names: Iterable[str] | None = None) -> None:
    """Let scripts read the public attributes (or `names`) of objects of exactly these types."""
    for kind in kinds:
        _READABLE[kind] = public(kind) if names is None else frozenset(names) - BLOCKED


def override(kind: type, name: str, value: Any) -> None:
    """Hand out `value` for an attribute of a permitted type."""
    _OVERRIDES[kind, name] = value


permit(GeneratorType, names=("send", "close"))
permit(property, names=("getter", "setter", "deleter"))
permit(type({}.keys()), type({}.values()), type({}.items()))


class View:
    """An immutable module: named members of a standard module or of a library, never the module."""

    __slots__ = ("_members", "_name")

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_members", dict(members))

    def __getattr__(self, name: str) -> Any:
        # Only the interpreter calls this, for `from x import y`; leading underscores stay inside.
        try:
            return _members(self)[name]
        except KeyError:
            raise AttributeError(f"module '{self._name}' has no attribute '{name}' here") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"module '{self._name}' is read-only")

    def __delattr__(self, name: str) -> None:
        raise TypeError(f"module '{self._name}' is read-only")

    def __repr__(self) -> str:
        return f"<module '{self._name}'>"


_members: Callable[[View], dict[str, Any]] = View.__dict__["_members"].__get__


class _ScriptClass(type):
    """Metaclass of every class a script defines."""

    def __repr__(cls) -> str:
        return f"<class '{cls.__name__}'>"


def _make_class(name: str, bases: tuple[Any, ...], namespace: dict[str, Any]) -> type:
    for base in bases:
        # Exact types before look-ups: a script's object may lie about its hash and equality.
        if not (type(base) is _ScriptClass or (type(base) is type and (base is object or base in _EXCEPTIONS))):
            raise TypeError(f"class {name} cannot be derived from this base")
    namespace.pop("__qualname__", None)
    if not bases or all(base is object for base in bases):
        namespace.setdefault("__repr__", _plain_repr)
    return _ScriptClass(name, bases, namespace)


def _plain_repr(self: Any) -> str:
    return f"<{type(self).__name__} object>"


def read(target: Any, name: str) -> Any:
    """The attribute of an object, if a script may read it; AttributeError otherwise."""
    kind = type(target)
    if kind is View:
        try:
            return _members(target)[name]
        except KeyError:
            raise AttributeError(f"module '{target._name}' has no attribute '{name}' here") from None
    if name[:1] == "_" or name in BLOCKED:
        if kind is str and name in ("format", "format_map"):
            return _formatter(target, name)
        raise AttributeError(f"attribute '{name}' is not accessible")
    names = _READABLE.get(kind)
    if names is not None:
        if name in names:
            found = _OVERRIDES.get((kind, name)) if _OVERRIDES else None
            return getattr(target, name) if found is None else found
    elif kind is type:
        names = _READABLE.get(target)
        if names is not None and name in names:
            found = _OVERRIDES.get((target, name))
            return getattr(target, name) if found is None else found
    elif (
        kind is _ScriptClass
        or type(kind) is _ScriptClass
        or (isinstance(target, Exception) and name in _EXCEPTION_ATTRIBUTES)
    ):
        return getattr(target, name)
    raise AttributeError(f"'{getattr(kind, '__name__', '?')}' object has no attribute '{name}'")


_EXCEPTION_ATTRIBUTES = frozenset(
    ("args", "msg", "pos", "doc", "lineno", "colno", "value", "reason", "start", "end", "object", "encoding", "name")
)


def _write(target: Any) -> Any:
    kind = type(target)
    if kind is _ScriptClass or type(kind) is _ScriptClass:
        return target
    raise TypeError(f"attributes of '{kind.__name__}' objects are read-only")


_AUGMENT: dict[str, Callable[[Any, Any], Any]] = {
    "+=": operator.iadd, "-=": operator.isub, "*=": operator.imul, "/=": operator.itruediv, "//=": operator.ifloordiv,
    "%=": operator.imod, "**=": operator.ipow, "<<=": operator.ilshift, ">>=": operator.irshift, "|=": operator.ior,
    "^=": operator.ixor, "&=": operator.iand, "@=": operator.imatmul,
}


def _augment(sign: str, target: Any, name: str, value: Any) -> None:
    result = _AUGMENT[sign](_any(target, name), value)
    setattr(_write(target), name, result)


def _any(target: Any, name: str) -> Any:
    """`read`, and the core types' own attributes, which the compiled code reads without a guard."""
    if name in NATIVE and type(target) is not View:
        return getattr(target, name)
    return read(target, name)


def _name(target: Any) -> str:
    if isinstance(target, type):
        return str(type.__dict__["__name__"].__get__(target))
    if type(target) is FunctionType or type(target) is type(len):
        return str(target.__name__)
    if type(target) is View:
        return str(target._name)
    raise AttributeError("attribute '__name__' is not accessible")


def _super(found: Any, name: str) -> Any:
    if type(found) is not super or type(getattr(found, "__thisclass__", None)) is not _ScriptClass:
        raise TypeError("super() is for methods of the script's own classes")
    if name in BLOCKED or (name[:1] == "_" and name not in MAGIC):
        raise AttributeError(f"attribute '{name}' is not accessible")
    return getattr(found, name)


GUARDS = {
    "_getattr_": read, "_write_": _write, "_augment_": _augment, "_name_": _name, "_super_": _super,
    "__metaclass__": _make_class,
}
"""Names that the policy compiles into a script; the script itself cannot say them."""


# ---- str.format, whose fields walk attributes


class _Formatter(string.Formatter):
    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        first, rest = formatter_field_name_split(field_name)
        found = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            found = _any(found, key) if is_attribute else found[key]
        return found, first


class _Numbering(_Formatter):
    """For one text with `{[key]}` or `{.name}`, which the library numbers like `{}` only since Python 3.14."""

    def __init__(self) -> None:
        self.count = 0
        self.numbered: bool | None = None

    def parse(self, text: Any) -> Iterator[Any]:
        for literal, field, spec, conversion in super().parse(text):
            yield literal, field if field is None else self._number(field), spec, conversion

    def _number(self, field: str) -> str:
        first, _ = formatter_field_name_split(field)
        if isinstance(first, str) and first:
            return field
        if self.numbered not in (None, isinstance(first, int)):
            raise ValueError("cannot switch between manual and automatic field numbering")
        self.numbered = isinstance(first, int)
        if self.numbered:
            return field
        self.count += 1
        return f"{self.count - 1}{field}"


_format = _Formatter()


def _formatter(text: str, name: str) -> Callable[..., str]:
    def filled(args: tuple[Any, ...], kwargs: Any) -> str:
        formatter = _Numbering() if "{[" in text or "{." in text else _format
        return formatter.vformat(text, args, kwargs)

    if name == "format":
        return lambda *args, **kwargs: filled(args, kwargs)
    return lambda mapping: filled((), mapping)


# ---- built-ins

_MISSING = object()


def _getattr(target: Any, name: str, default: Any = _MISSING, /) -> Any:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    try:
        return _any(target, hide(name))
    except AttributeError:
        if default is _MISSING:
            raise
        return default


def _hasattr(target: Any, name: str, /) -> bool:
    try:
        _getattr(target, name)
    except AttributeError:
        return False
    return True


def _setattr(target: Any, name: str, value: Any, /) -> None:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    hidden = hide(name)
    if hidden.startswith("_") or hidden in BLOCKED:
        raise AttributeError(f"attribute '{name}' is not accessible")
    setattr(_write(target), hidden, value)


def _type(target: Any, /) -> Any:
    kind = type(target)
    if kind in _READABLE or type(kind) is _ScriptClass or isinstance(target, Exception):
        return kind
    raise TypeError("type() of this object is not available")


_PLAIN = (
    "None False True Ellipsis NotImplemented abs all any ascii bin bool bytearray bytes callable chr classmethod "
    "complex dict divmod enumerate filter float format frozenset hash hex int isinstance issubclass iter len list map "
    "max min next object oct ord pow property range repr reversed round set slice sorted staticmethod str sum super "
    "tuple zip __build_class__"
)
_EXCEPTION_NAMES = (
    "ArithmeticError AssertionError AttributeError BufferError DeprecationWarning EOFError Exception "
    "FileNotFoundError FloatingPointError ImportError IndexError IOError KeyError LookupError MemoryError "
    "ModuleNotFoundError NameError NotImplementedError OSError OverflowError PermissionError RecursionError "
    "ReferenceError RuntimeError RuntimeWarning StopIteration SyntaxError TimeoutError TypeError UnboundLocalError "
    "UnicodeDecodeError UnicodeEncodeError UnicodeError UserWarning ValueError Warning ZeroDivisionError"
)
BUILTINS: dict[str, Any] = {name: getattr(builtins, name) for name in _PLAIN.split()}
_EXCEPTIONS = frozenset(getattr(builtins, name) for name in _EXCEPTION_NAMES.split())
BUILTINS |= {name: getattr(builtins, name) for name in _EXCEPTION_NAMES.split()}
BUILTINS |= {"getattr": _getattr, "hasattr": _hasattr, "setattr": _setattr, "type": _type}
"""What every script has; imports, print, log and credentials are added per batch."""
