"""Conversations with a voice agent, and recognisers that give partials: what they are worth."""
