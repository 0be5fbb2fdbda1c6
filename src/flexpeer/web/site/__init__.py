"""The pages people keep open: sent by the service, filled in the browser from its API, live by its events."""

from flexpeer.web.site.pages import Visitor, VisitorDoors, site_routes

__all__ = ["Visitor", "VisitorDoors", "site_routes"]
