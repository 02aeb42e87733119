"""What click itself says to a user, named here so that ``make messages`` collects it.

Click asks the standard library's gettext for these; `campaign.cli.frame` points that to our catalogue.
"""

from __future__ import annotations


def _(message: str) -> str:
    return message


def ngettext(one: str, many: str) -> tuple[str, str]:
    return one, many


WORDS = (
    _("Usage:"),
    _("Options"),
    _("Commands"),
    _("Positional arguments"),
    _("Show this message and exit."),
    _("Show the version and exit."),
    _("Error: {message}"),
    _("Aborted!"),
    _("Try '{command} {option}' for help."),
    _("Missing command."),
    _("Missing argument"),
    _("Missing option"),
    _("Missing parameter"),
    _("Missing {param_type}"),
    _("Missing parameter: {param_name}"),
    _("Choose from:\n\t{choices}"),
    _("No such option {name!r}."),
    _("No such command {name!r}."),
    _("Option {name!r} does not take a value."),
    _("Argument {name!r} takes {nargs} values."),
    _("Invalid value: {message}"),
    _("Invalid value for {param_hint}: {message}"),
    _("Could not open file {filename!r}: {message}"),
    _("unknown error"),
    _("{value!r} is not a valid {number_type}."),
    _("{value} is not in the range {range}."),
    _("{value!r} is not a valid boolean. Recognized values: {states}"),
    _("file"),
    _("directory"),
    _("path"),
    _("{name} {filename!r} does not exist."),
    _("{name} {filename!r} is a file."),
    _("{name} {filename!r} is a directory."),
    _("{name} {filename!r} is not readable."),
    _("{name} {filename!r} is not writable."),
    _("required"),
    _("default: {default}"),
    _("env var: {var}"),
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    ngettext(
        "{value!r} does not match the format {format}.", "{value!r} does not match the formats {formats}."
    ),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
)
