"""The C extension, and which Pythons a wheel of it is for; everything else is in pyproject.toml.

CPython 3.11 and newer share one wheel (cp311-abi3): the extension uses their stable ABI. That of
3.10 lacks buffers, and free-threaded Pythons have none: each gets its own wheel. Without a compiler
or with ``TFREC_NO_EXTENSIONS``, the wheel is pure.
"""

import os
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

STABLE = sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
STABLE = STABLE and not sysconfig.get_config_var("Py_GIL_DISABLED")


class Wheel(bdist_wheel):
    """A wheel that is tagged as pure if nothing was compiled."""

    def run(self) -> None:
        """Compile, then make the wheel."""
        self.run_command("build_ext")
        compiled = self.get_finalized_command("build_ext").get_outputs()
        if not any(map(os.path.exists, compiled)):
            self.distribution.ext_modules = None
            self.root_is_pure = True
        super().run()


native = Extension(
    "tfrec_cli.runtime._native",
    sorted(glob("tfrec_cli/runtime/*.c")),
    depends=sorted(glob("tfrec_cli/runtime/*.h")),
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
    py_limited_api=STABLE,
    extra_compile_args=["-O3"],
    optional=True,
)
setup(
    ext_modules=[] if os.environ.get("TFREC_NO_EXTENSIONS") else [native],
    cmdclass={"bdist_wheel": Wheel},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
