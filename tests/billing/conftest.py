"""The people of the resources' tests; billing stands on the same ground."""

from tests.resources.conftest import _cheap_passwords, people

__all__ = ["_cheap_passwords", "people"]
