"""Many forecasts side by side: how memory answers to image, batch and model size, and what makes models differ."""
