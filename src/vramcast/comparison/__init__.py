"""Holds a forecast beside a measurement: figure by figure, and event by event. Pure functions, without torch."""
