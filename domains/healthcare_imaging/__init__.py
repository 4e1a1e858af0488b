"""Medical images to triage: a label, a doubt or a refusal for each scan, and where the network looked, on the device.

Who decides what with it: a clinician looks first at what is flagged, and alone at what the network abstains from; the
threshold comes from the sensitivity that the clinic asks for. It puts images into an order and does not diagnose. A
model learnt on one hospital's machines and patients says little about another's: images that differ in kind are
refused, but not every difference shows. Check it on your own images, patient by patient, before anybody relies on it.
"""

from .device import Finding, Triage

__all__ = ["Finding", "Triage"]
