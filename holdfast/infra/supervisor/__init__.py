"""One process that keeps a stack's processes: start, watch, restart, adopt, end.

unit.py says what a process is and what is asked of the supervisor; daemon.py is the process, waiting.py how it waits;
client.py calls it.
"""
