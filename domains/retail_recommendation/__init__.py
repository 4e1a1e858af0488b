"""What a shopper may want next: a list of items from the shopper's own recent history, on the device.

Who decides what with it: the shopper, who takes or leaves what is shown; and the shop, which decides where to show it.
It has learnt what was bought after what, not what is good for anybody, and it shows popular items to those it does not
know. Items that a shopper had are not shown again unless asked for. New items need an items table; retrain when the
range changes.
"""

from .device import Answer, Reason, Recommendation, Recommender

__all__ = ["Answer", "Reason", "Recommendation", "Recommender"]
