"""Single kinds of CIM equipment by hand, and the star of three windings against pandapower's."""
