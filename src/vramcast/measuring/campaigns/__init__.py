"""Campaigns that come with vramcast, and the small language models some of them measure."""
