"""The commands: each reads its options, calls one function of stages, and shows the result."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from commandline import config_file as settings
from commandline.compare import compare
from commandline.curve import curve
from commandline.embed import embed
from commandline.explain import explain
from commandline.fit_head import fit_head
from commandline.look import encoders, heads, init
from commandline.output import say
from commandline.predict import predict
from commandline.store import store
from commandline.sweep import sweep
from data.errors import CallError, EmbedOnceError, UnknownName, suggest_name

OWN_FOLDERS = ("commandline", "data", "featurestore", "heads", "stages")


class Commands(click.Group):
    """A group that names the nearest command when one is misspelt."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name in the error."""
        if args and args[0] not in self.commands:
            raise UnknownName(f"embedonce has no command '{args[0]}'.{suggest_name(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show where an error came from.")
@click.version_option(package_name="embedonce")
@click.pass_context
def embedonce(ctx: click.Context) -> None:
    """Encode documents once, then try any classifier head in a minute.

    \b
    embedonce embed tickets.csv --text body --label queue
    embedonce fit-head lstm
    embedonce compare --html report.html

    What is left out comes from embedonce.toml in this folder, and without one from the example corpus.
    """
    ctx.default_map = settings.defaults(embedonce.commands)


for command in (embed, fit_head, sweep, curve, compare, predict, explain, store, encoders, heads, init):
    embedonce.add_command(command)


def own_folders() -> None:
    """Raise CallError when a package of another project stands where one of ours should be."""
    here = Path(__file__).resolve().parent
    for name in OWN_FOLDERS:
        found = find_spec(name)
        if found is None or found.origin is None or Path(found.origin).resolve().parent.parent != here:
            raise CallError(
                f"another package called '{name}' stands before embedonce's own in this environment. "
                "Install embedonce in an environment of its own."
            )


def main() -> None:
    """Run one command: exit code 0 done, 1 the work failed, 2 the call was wrong, 130 interrupted."""
    try:
        own_folders()
        code = embedonce.main(prog_name="embedonce", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted. What is finished of shards, folds, trials and runs is kept; the same command goes on there.")
        code = 130
    except BrokenPipeError:
        # the reader of a pipe left; Python would complain again when it flushes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if "--debug" in sys.argv and not isinstance(error, click.ClickException):
            raise
        code = told(error)
    sys.exit(code or 0)


def told(error: Exception) -> int:
    """Say what went wrong in a sentence; returns the exit code."""
    if isinstance(error, EmbedOnceError):
        say(f"Error: {error}")
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        more = f" See `{context.command_path} --help`." if context is not None else ""
        say(f"Error: {error.format_message()}{more}")
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        say(f"Error: {error.filename or 'the disk'}: {error.strerror}.")
        return 1
    say(f"Error: {type(error).__name__}: {error}. This is a fault of embedonce; `embedonce --debug ...` shows where.")
    return 1


if __name__ == "__main__":
    main()
