"""No servers: these tests read schemas/ and nothing else."""
