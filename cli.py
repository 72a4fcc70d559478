"""The command line: the group of all commands, and how errors are shown."""

import os
import re
import signal
import sys
from typing import Any

import click

from commandline.adapt import adapt
from commandline.augment import augment
from commandline.compare import compare
from commandline.config_file import load_defaults
from commandline.curve import curve
from commandline.decide import decide
from commandline.doctor import doctor
from commandline.embed import embed
from commandline.encoders import encoders
from commandline.explain import explain
from commandline.finetune import finetune
from commandline.fit_head import fit_head
from commandline.heads import heads
from commandline.init import init
from commandline.lengthen import lengthen
from commandline.output import say, use_utf8
from commandline.perplexity import perplexity
from commandline.predict import predict
from commandline.report import report
from commandline.store import store
from commandline.sweep import sweep
from commandline.taxonomy import taxonomy
from data.errors import EmbedOnceError, UnknownName, suggest_name
from data.interrupt import Termination
from data.packages import check_packages

CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "show_default": True,
}


class Commands(click.Group):
    """A group that suggests the nearest command if one is misspelled."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does, with the nearest name in the error."""
        if args and args[0] not in self.commands:
            raise UnknownName(f"embedonce has no command '{args[0]}'.{suggest_name(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings=CONTEXT_SETTINGS)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.version_option(package_name="embedonce")
@click.pass_context
def embedonce(ctx: click.Context) -> None:
    """Encode documents once, then fit any classifier head in a minute.

    \b
    embedonce embed tickets.csv --text body --label queue
    embedonce fit-head lstm
    embedonce compare --html report.html

    Options that you leave out come from embedonce.toml in this folder. Without that file, the documents are those of
    the example corpus, reuters52.
    """
    ctx.default_map = load_defaults(embedonce.commands)


COMMANDS = (
    embed,
    adapt,
    lengthen,
    augment,
    finetune,
    fit_head,
    sweep,
    curve,
    compare,
    decide,
    report,
    predict,
    explain,
    store,
    taxonomy,
    encoders,
    perplexity,
    heads,
    init,
    doctor,
)
for command in COMMANDS:
    embedonce.add_command(command)


def main() -> None:
    """Run one command.

    Exit code 0: success; 1: the work failed; 2: the call was wrong; 130: interrupted by Ctrl-C (SIGINT); 143:
    interrupted by SIGTERM, which is handled as Ctrl-C.
    """
    use_utf8()
    with Termination() as termination:
        code = run_command(termination)
    sys.exit(code or 0)


def run_command(termination: Termination) -> int | None:
    """Run the command of sys.argv and report its error; returns the exit code, None for success."""
    code: int | None
    try:
        check_packages()
        code = embedonce.main(prog_name="embedonce", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted. Finished shards, folds, trials and runs are kept; the same command resumes the work.")
        code = 128 + (signal.SIGTERM if termination.received else signal.SIGINT)
    except BrokenPipeError:
        # the reader of a pipe has left; Python would report it again when it flushes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if "--debug" in sys.argv and not isinstance(error, click.ClickException):
            raise
        code = report_error(error)
    return code


def _describe(error: click.ClickException) -> str:
    """What click says, as a sentence on one line, and of the options that may be meant the nearest one."""
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        return f"{error.message} Did you mean '{error.possibilities[0]}'?"
    sentence = " ".join(error.format_message().split())
    sentence = re.sub(r"(is not a valid \w+) range\b", r"\1", sentence)  # "10-20" is none that it takes
    return sentence if sentence.endswith((".", "?", ")")) else f"{sentence}."


def report_error(error: Exception) -> int:
    """Print one sentence about an error; returns the exit code."""
    if isinstance(error, EmbedOnceError):
        say(f"Error: {error}")
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        say(f"Error: {_describe(error)}{hint}")
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        say(f"Error: {error.filename or 'the disk'}: {error.strerror}.")
        return 1
    say(f"Error: {type(error).__name__}: {error}. This is a bug in embedonce; `embedonce --debug ...` shows where.")
    return 1


if __name__ == "__main__":
    main()
