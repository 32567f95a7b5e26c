"""Entry point: ``linli`` and ``python -m gateway``."""


def main() -> None:
    """Run the command line."""
    from gateway.cli import linli  # imported late: the daemon must not pay for what it does not use

    linli(prog_name="linli")


if __name__ == "__main__":
    main()
