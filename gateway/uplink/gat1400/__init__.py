"""The GA/T 1400 uplink: passages of chosen cameras, with their pictures, to a view library of the police."""
