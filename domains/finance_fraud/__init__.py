"""Card and payment fraud: a probability, a decision and reasons for each transaction, on the device.

Who decides what with it: investigators look at the transactions, or customers, that are flagged; the threshold
comes from what they can work through in a day, or from what errors cost. It ranks and explains; it does not
prove. A model learnt on one bank's customers says nothing about another's, frauds change, and a score of a
new customer rests on little: retrain on recent labels and watch the share of true alerts.
"""

from .device import Alert, FraudScorer
from .explain import Reason

__all__ = ["Alert", "FraudScorer", "Reason"]
