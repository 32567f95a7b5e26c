"""Everything about a configuration, resolved and checked: what will run, what will not, and what is wrong."""

from gateway.plan.findings import NotBuilt
from gateway.plan.plan import Plan, load_plan

__all__ = ["NotBuilt", "Plan", "load_plan"]
