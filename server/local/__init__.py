"""What a command or a notebook runs on this machine: a simulation, a study of simulations."""
