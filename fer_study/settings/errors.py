"""The one error that means "your input is wrong": one line, no traceback, exit code 2."""


class InputError(ValueError):
    """Wrong input: the message names the file, row or key, what was found and what is allowed."""
