"""Recording from cameras as a visit: its steps, and the station, the process that holds the cameras for the pages."""
