"""What each round trains: by the settings alone, or by what training has shown so far."""
