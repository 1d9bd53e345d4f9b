"""How far off forecasts of comparable cases were, and what follows for a range and for the verdict on a card. No torch."""
