"""``python -m zeropoint`` is the command ``zeropoint``."""

from zeropoint.cli import main

main()
