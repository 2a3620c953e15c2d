"""For tests of code that asks for quota: a counter that is neither a server nor a limit, and remembers everything."""

from ._fake_counter import FakeCounter
from ._fake_script import Asked, Reported

__all__ = ["Asked", "FakeCounter", "Reported"]
