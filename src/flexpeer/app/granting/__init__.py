"""One coordinator over all owners: reserve, then commit or abort."""
