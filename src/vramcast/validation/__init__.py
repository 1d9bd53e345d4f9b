"""Forecasts held against figures that were measured on real cards."""
