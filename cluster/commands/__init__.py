"""The commands of `genprm`, one file each: name, help, inputs, options and what they run.

A file here with a `COMMAND` is a command; nothing else names it. Importing all of them must stay
quick, so `run` imports what it needs, and longer work has its home in another room.
"""
