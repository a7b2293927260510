"""How a backend of moto becomes bytes and comes back.

Pickle does nearly all of it. What it cannot carry, or should not: locks (made anew), other backends (looked
up), functions without a name (known ones are found again), weak dictionaries, private keys of `cryptography`,
AWS's own managed policies (moto brings them), and long contents (files of their own, see contents).
"""

from __future__ import annotations

import io
import pickle
import threading
import types
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from txnpipe.local.moto_control_plane.backends import BackendKey, key_of, resolve
from txnpipe.local.moto_control_plane.contents import ContentFiles, StoredContent

_PROTOCOL = 5
_ATTEMPTS = 5
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_CODE_MINIMUM = 1024
"""Shorter codes are not worth a file."""


class UnsavableState(Exception):  # noqa: N818 - says what it is
    """A backend holds something that cannot be kept."""


class Contents:
    """Long byte strings of live objects and the files that hold them, so that each is written once."""

    def __init__(self, files: ContentFiles) -> None:
        self.files = files
        self._names: dict[int, str] = {}
        self._contents: dict[str, bytes] = {}

    def name_of(self, content: bytes) -> str:
        """The file of a byte string; written now if it has none yet."""
        name = self._names.get(id(content))
        return name if name is not None else self._remember(self.files.add(content), content)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if name not in self._contents:
            self._remember(name, self.files.path(name).read_bytes())
        return self._contents[name]

    def _remember(self, name: str, content: bytes) -> str:
        # Holding the bytes keeps their identity from being reused.
        self._names[id(content)] = name
        self._contents[name] = content
        return name

    def remove(self, names: set[str]) -> None:
        """Removes the files that nothing names any more."""
        for name in names & self._contents.keys():
            del self._names[id(self._contents.pop(name))]
        self.files.remove(names)


_current: threading.local = threading.local()
"""Where restored objects find the contents of the state being read."""


def dump(state: dict[str, Any], contents: Contents) -> tuple[bytes, set[str]]:
    """A backend's attributes as bytes, and the names of the content files that belong to them.

    Raises UnsavableState.
    """
    for attempt in range(_ATTEMPTS):
        output = io.BytesIO()
        pickler = _Pickler(output, contents)
        try:
            pickler.dump(state)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise UnsavableState(str(error)) from error
        except RuntimeError:
            # A thread of some part changed a dictionary meanwhile, outside the gate.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return output.getvalue(), pickler.names
    raise AssertionError("unreachable")


def load(data: bytes, contents: Contents) -> tuple[dict[str, Any], set[str]]:
    """The attributes and the names of content files that `dump` gave. Raises whatever pickle raises."""
    _current.contents, _current.names = contents, set()
    state: dict[str, Any] = pickle.loads(data)  # noqa: S301 - written by us, in a directory of ours alone
    return state, _current.names


class _Pickler(pickle.Pickler):
    def __init__(self, output: io.BytesIO, contents: Contents) -> None:
        super().__init__(output, _PROTOCOL)
        self._contents = contents
        self._reductions = _reductions()
        self._backend_type = _backend_type()
        self.names: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """How a value of a class (not a built-in container) is taken apart."""
        kind = type(value)
        reduce = self._reductions.get(kind)
        if reduce is not None:
            return reduce(self, value)
        if isinstance(value, self._backend_type):
            return resolve, (key_of(value),)
        if isinstance(value, dict) and kind not in (OrderedDict, defaultdict):
            return _reduce_mapping(value)
        if kind is types.FunctionType and "<locals>" in value.__qualname__:
            return _function, (_name_of_function(value),)
        if kind.__module__.startswith("cryptography.") and hasattr(value, "private_bytes"):
            return _reduce_private_key(value)
        return NotImplemented

    def content(self, content: bytes) -> _Content:
        """Stands for a long byte string."""
        name = self._contents.name_of(content)
        self.names.add(name)
        return _Content(name)

    def stored(self, buffer: Any) -> StoredContent:
        """The content of an S3 object, on disk."""
        if isinstance(buffer, StoredContent) and buffer.name is not None:
            stored = buffer
        else:
            buffer.seek(0)
            stored = StoredContent(self._contents.files, self._contents.files.add(buffer.read()))
            buffer.close()
        assert stored.name is not None
        self.names.add(stored.name)
        return stored


class _Content:
    """In saved state: the bytes in a content file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        return _read_content, (self.name,)


def _read_content(name: str) -> bytes:
    _current.names.add(name)
    content: bytes = _current.contents.read(name)
    return content


# --- reductions, by type ---------------------------------------------------------------------------------


def _reduce_key(pickler: _Pickler, key: Any) -> Any:
    name = None
    if not key.disposed:
        with key.lock:
            # From here on moto reads the object from disk, too: objects take no memory.
            key._value_buffer = pickler.stored(key._value_buffer)
            name = key._value_buffer.name
    state = {**key.__dict__, "lock": None, "_value_buffer": None}
    return _new, (type(key),), (state, name), None, None, _restore_key


def _restore_key(key: Any, saved: tuple[dict[str, Any], str | None]) -> None:
    state, name = saved
    key.__dict__.update(state)
    key.lock = threading.Lock()
    if name is None:
        key._value_buffer = io.BytesIO()
        key._value_buffer.close()
    else:
        _current.names.add(name)
        key._value_buffer = StoredContent(_current.contents.files, name)


def _reduce_code(pickler: _Pickler, function: Any) -> Any:
    # AWS never gives the code back as it was sent; moto keeps it twice, and needs it once.
    attribute = "code" if hasattr(function, "code") else "content"
    state = {
        name: value for name, value in function.__dict__.items() if not name.startswith("_DockerModel__")
    }
    state[attribute] = {name: value for name, value in state[attribute].items() if name != "ZipFile"}
    function.__dict__[attribute].pop("ZipFile", None)
    code = state.get("code_bytes", b"")
    if len(code) >= _CODE_MINIMUM:
        state["code_bytes"] = pickler.content(code)
    return _new, (type(function),), state


def _reduce_lock(_pickler: _Pickler, _lock: Any) -> Any:
    return threading.Lock, ()


def _reduce_rlock(_pickler: _Pickler, _lock: Any) -> Any:
    return threading.RLock, ()


def _reduce_condition(_pickler: _Pickler, _condition: Any) -> Any:
    return threading.Condition, ()


def _reduce_event(_pickler: _Pickler, event: threading.Event) -> Any:
    return _event, (event.is_set(),)


def _event(is_set: bool) -> threading.Event:
    event = threading.Event()
    if is_set:
        event.set()
    return event


def _reduce_mapping(mapping: dict[Any, Any]) -> Any:
    # Dictionaries of moto's own show something else than they hold: S3's shows the newest version of a key.
    state = dict(dict.items(mapping)), getattr(mapping, "__dict__", {})
    return _new, (type(mapping),), state, None, None, _restore_mapping


def _restore_mapping(mapping: dict[Any, Any], state: tuple[dict[Any, Any], dict[str, Any]]) -> None:
    items, attributes = state
    dict.update(mapping, items)
    if attributes:
        mapping.__dict__.update(attributes)


def _reduce_weak(_pickler: _Pickler, weak: weakref.WeakValueDictionary[Any, Any]) -> Any:
    return _weak, (dict(weak),)


def _weak(values: dict[Any, Any]) -> weakref.WeakValueDictionary[Any, Any]:
    return weakref.WeakValueDictionary(values)


def _reduce_managed_policy(_pickler: _Pickler, policy: Any) -> Any:
    return _managed_policy, (policy.partition, policy.arn, policy.attachment_count)


def _managed_policy(partition: str, arn: str, attachment_count: int) -> Any:
    policy = resolve(BackendKey("moto.iam.models", partition)).managed_policies[arn]
    policy.attachment_count = attachment_count
    return policy


def _reduce_private_key(key: Any) -> Any:
    from cryptography.hazmat.primitives import serialization

    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _private_key, (data,)


def _private_key(data: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(data, None)


def _new(kind: Any) -> Any:
    return kind.__new__(kind)


def _backend_type() -> type:
    from moto.core.base_backend import BaseBackend

    return BaseBackend


def _reductions() -> dict[type, Callable[[_Pickler, Any], Any]]:
    """Reductions of the types that are loaded; a service that was never used has nothing to reduce."""
    import sys

    reductions: dict[type, Callable[[_Pickler, Any], Any]] = {
        _LOCK: _reduce_lock,
        _RLOCK: _reduce_rlock,
        threading.Condition: _reduce_condition,
        threading.Event: _reduce_event,
        weakref.WeakValueDictionary: _reduce_weak,
    }
    for module, names, reduce in (
        ("moto.s3.models", ("FakeKey",), _reduce_key),
        ("moto.awslambda.models", ("LambdaFunction", "LayerVersion"), _reduce_code),
        ("moto.iam.models", ("AWSManagedPolicy",), _reduce_managed_policy),
    ):
        if module in sys.modules:
            reductions.update({getattr(sys.modules[module], name): reduce for name in names})
    return reductions


# --- functions without a name -----------------------------------------------------------------------------


def _new_aliases() -> dict[str, Any]:
    return {}


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "moto.awslambda.models LambdaStorage.__init__.<locals>.<lambda>": _new_aliases,
    "moto.ssm.models SimpleSystemManagerBackend.__init__.<locals>.<lambda>": _new_aliases,
}
"""Default factories that moto writes as lambdas, and what does the same."""


def _name_of_function(function: types.FunctionType) -> str:
    name = f"{function.__module__} {function.__qualname__}"
    if name not in _FUNCTIONS:
        raise pickle.PicklingError(f"{name} is a function without a name")
    return name


def _function(name: str) -> Callable[..., Any]:
    return _FUNCTIONS[name]
