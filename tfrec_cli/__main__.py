"""The program ``tfrec``, also as ``python -m tfrec_cli``."""

import sys
from typing import NoReturn

from tfrec_cli import errors


def main() -> NoReturn:
    """Run the command line and exit; on Windows, print that it is not supported."""
    if sys.platform == "win32":
        sys.stderr.write(f"tfrec: {errors.NO_WINDOWS}\n")
        sys.exit(errors.EXIT_RUN)
    from tfrec_cli.cli import boundary  # it needs modules that Windows does not have

    boundary.main()


if __name__ == "__main__":
    main()
