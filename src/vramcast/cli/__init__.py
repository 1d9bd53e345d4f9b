"""The command line. Each command is flags and wiring; nothing here is imported by the rest."""
