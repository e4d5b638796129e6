"""The coordinator's folder: certificates, registered sites, audit log."""
