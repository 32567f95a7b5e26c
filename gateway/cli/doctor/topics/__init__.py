"""The topics of the doctor, one file each: ``PROBES`` is what a file adds; it is found by being here."""
