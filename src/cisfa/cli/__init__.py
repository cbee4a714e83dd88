"""The ``cisfa`` command: parsing, dispatch, exit codes, and one file a command.

A command's module offers three things and is light to import:

- ``HELP``: what the command does, in a sentence or a few;
- ``add_arguments(parser)``: its own options;
- ``run(arguments, report)``: the work; what is heavy is imported in here.
"""
