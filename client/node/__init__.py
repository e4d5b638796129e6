"""A site's process in a deployed federation, and the site's private folder."""
