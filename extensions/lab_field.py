"""One field of the `lab:` extension as an attribute of a pystac extension: typed to read and to set, None to remove."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast, overload

T = TypeVar("T")


class _HasProperties(Protocol):
    properties: dict[str, Any]


def as_it_is(kind: type[T]) -> Callable[[Any], T]:
    """Return the reader of values that need no making, such as objects and lists: changes to them are kept."""
    return lambda value: cast(T, value)


class LabField(Generic[T]):
    """An attribute that reads and writes one field.

    Args:
        name: the field, such as `lab:status`.
        read: makes the value of what the document has.
        meaning: what the field says; the attribute's documentation.
        write: makes what the document has of the value; by default the value itself.
    """

    def __init__(
        self, name: str, read: Callable[[Any], T], meaning: str, write: Callable[[T], Any] = lambda value: value
    ) -> None:
        self.name = name
        self.__doc__ = meaning
        self._read = read
        self._write = write

    @overload
    def __get__(self, holder: None, owner: type) -> "LabField[T]": ...
    @overload
    def __get__(self, holder: _HasProperties, owner: type) -> T | None: ...
    def __get__(self, holder: _HasProperties | None, owner: type) -> "T | LabField[T] | None":
        if holder is None:
            return self
        value = holder.properties.get(self.name)
        return None if value is None else self._read(value)

    def __set__(self, holder: _HasProperties, value: T | None) -> None:
        if value is None:
            holder.properties.pop(self.name, None)
        else:
            holder.properties[self.name] = self._write(value)
