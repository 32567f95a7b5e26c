"""The ways out to the platform: each is a cursor over the store."""
