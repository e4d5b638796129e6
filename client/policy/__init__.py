"""What a site's owner lets runs do: [policy] of site.toml, enforced by the site itself."""
