"""Where the command `nightshift` begins. Imports nothing: the worker process of a night imports this module, too."""


def main() -> None:
    """Run the command."""
    from flows.cli.main import main as command

    command()
