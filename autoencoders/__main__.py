"""`python -m autoencoders`: the command line."""

from autoencoders.cli import main

main()
