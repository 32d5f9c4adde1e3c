"""One machine, processes from wheels: no cluster, no container engine, no root."""
