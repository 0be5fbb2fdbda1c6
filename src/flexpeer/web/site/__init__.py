"""The pages people keep open: sent by the service, filled in the browser from its API, live by its events."""

from flexpeer.web.site.pages import Doors, Visitor, site_routes

__all__ = ["Doors", "Visitor", "site_routes"]
