"""The program ``tfrec``, also as ``python -m tfrec_cli``."""

from tfrec_cli.cli.boundary import main

if __name__ == "__main__":
    main()
