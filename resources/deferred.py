"""Write down a call for a worker to make, and tell by versions whether its result would be another now."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from resources.files.digests import combine

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Deferred:
    """A call that a worker makes: an importable function and arguments, which may be deferred calls themselves.

    `version` says what the call will give; where none is declared it follows from the function and its arguments.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    declared: str | None = None

    @property
    def version(self) -> str:
        """Equal versions promise equal results."""
        if self.declared is not None:
            return self.declared
        arguments = [*self.args, *(value for _, value in sorted(self.kwargs.items()))]
        names = [identify(self.function), *sorted(self.kwargs)]
        return combine([*names, *(version_of(argument) for argument in arguments)])

    def __call__(self) -> Any:
        """Make the call, the deferred arguments first."""
        return self.function(*map(resolve, self.args), **{name: resolve(value) for name, value in self.kwargs.items()})


def defer(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred:
    """Write a call down instead of making it."""
    return Deferred(function, args, kwargs)


def named(name: str) -> Callable[[Function], Function]:
    """Declare the name by which fingerprints know a function, as `function.identity`: it may move, the name stays."""

    def declare(function: Function) -> Function:
        function.identity = name  # type: ignore[attr-defined]  # functions take attributes
        return function

    return declare


def identify(function: Callable[..., Any]) -> str:
    """The name that a function declares, or of Python's own where it stands; raises TypeError where none is declared.

    A name that followed from the module would make a lake anew whenever a function moved.
    """
    if function.__module__ == "builtins":
        return f"builtins:{function.__qualname__}"
    identity: str | None = getattr(function, "identity", None)
    if identity is None:
        raise TypeError(f"{address_of(function)} stands in a fingerprint and has no name: declare one with @named")
    return identity


def address_of(function: Callable[..., Any]) -> str:
    """What another process imports the function by."""
    return f"{function.__module__}:{function.__qualname__}"


def resolve(value: Any) -> Any:
    """Make the deferred calls in a value, a mapping's values among them; anything else is itself."""
    if isinstance(value, Mapping):
        return {name: resolve(item) for name, item in value.items()}
    return value() if isinstance(value, Deferred) else value


def version_of(value: Any) -> str:
    """The version of an argument: a deferred call's own, a function's name, or the value as text."""
    if isinstance(value, Mapping):
        return combine(f"{name} {version_of(item)}" for name, item in value.items())
    if isinstance(value, Deferred):
        return value.version
    return identify(value) if inspect.isfunction(value) else repr(value)


def stage_version(stage: Callable[..., Any]) -> str:
    """The stage's name and the number of what it does."""
    return f"{identify(stage)} {getattr(stage, 'version', 1)}"
