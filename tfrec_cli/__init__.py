"""Image folders to TFRecord shards and back, with reproducible crops.

The functions are loaded at first use, and so are the public modules:
``tfrec_cli.api``, ``read_tf``, ``read_keras``, ``read_torch``, ``read_numpy``, ``crops``,
``seeds``, ``determinism``, ``errors``.
"""

TYPE_CHECKING = False  # that of typing, without importing it
if TYPE_CHECKING:
    from tfrec_cli import api as api
    from tfrec_cli import crops as crops
    from tfrec_cli import determinism as determinism
    from tfrec_cli import errors as errors
    from tfrec_cli import read_keras as read_keras
    from tfrec_cli import read_numpy as read_numpy
    from tfrec_cli import read_tf as read_tf
    from tfrec_cli import read_torch as read_torch
    from tfrec_cli import seeds as seeds
    from tfrec_cli.api import check, extract, inspect, merge, reshard, salvage, verify, write
else:  # type checkers must report unknown names

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"tfrec_cli.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("tfrec_cli.api"), name)


__version__ = "0.1.0"
__all__ = [
    "__version__",
    "check",
    "extract",
    "inspect",
    "merge",
    "reshard",
    "salvage",
    "verify",
    "write",
]

_MODULES = (
    "api",
    "crops",
    "determinism",
    "errors",
    "read_keras",
    "read_numpy",
    "read_tf",
    "read_torch",
    "seeds",
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
