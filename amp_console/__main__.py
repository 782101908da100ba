"""`python -m amp_console` is the `amp-console` command."""

from amp_console.cli import main

if __name__ == "__main__":
    main()
