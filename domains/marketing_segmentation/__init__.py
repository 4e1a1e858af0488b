"""From a shop's own orders to customer segments that are stable, mean something, and foresee what customers do.

Each customer gets a segment with a name that says what sets it apart, and expected orders, spend and the probability
of coming back within the horizon. A marketer decides with it whom to thank, to win back or to leave alone; it says
nothing about why a customer acts, and nothing about people who never ordered.
"""

from .device import Answer, Customer, Segmenter

__all__ = ["Answer", "Customer", "Segmenter"]
