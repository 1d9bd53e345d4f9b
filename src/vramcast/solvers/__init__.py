"""Answers to "how far can I go" and "what would do": searches over forecasts, each forecast an exact one."""
