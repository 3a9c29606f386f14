"""The ``zeropoint`` command."""

import sys


def main() -> None:
    """Runs the command; an error of ours is one line on stderr and exit status 1."""
    serving = None
    if sys.argv[1:2] == ["serve"] and not {"-h", "--help"} & {*sys.argv}:
        import gc

        gc.disable()  # until it serves: what is imported is no garbage, and it takes long to look
        from zeropoint.start import start

        serving = start(load=True)  # which goes on while the command line is read
    import click

    from zeropoint.cli.verbs import group
    from zeropoint.errors import ZeropointError

    try:
        group(prog_name="zeropoint", obj=serving)
    except ZeropointError as error:
        click.echo(f"zeropoint: {error}", err=True)  # with what a caller is not told
        sys.exit(1)
