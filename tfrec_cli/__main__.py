"""The program ``tfrec``, also as ``python -m tfrec_cli``."""

import sys
from typing import NoReturn

from tfrec_cli import errors


def main() -> NoReturn:
    """Run the command line and exit; on Windows only say that it does not run there."""
    if sys.platform == "win32":
        sys.stderr.write(f"tfrec: {errors.NO_WINDOWS}\n")
        sys.exit(errors.EXIT_RUN)
    from tfrec_cli.cli import boundary  # which needs what Windows lacks

    boundary.main()


if __name__ == "__main__":
    main()
