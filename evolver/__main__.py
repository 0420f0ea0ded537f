"""`python -m evolver` is the command line."""

from evolver.cli import main

main()
