"""The HTTPS push: batches of records posted to a platform, and the media that they name."""
