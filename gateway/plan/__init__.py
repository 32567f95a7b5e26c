"""Everything about a configuration, resolved and checked: what will run, what will not, and what is wrong."""

from gateway.plan.plan import Plan, load_plan

__all__ = ["Plan", "load_plan"]
