"""What a network of sensors will read in the next hour: speed, flow or passengers, with bands, in the roadside box.

Who decides what with it: a road operator's controller or control room, which warns, meters, holds or reroutes before a
queue has grown. It has learnt the rhythm of its own sensors and how disturbances move between them; it knows nothing of
roadworks, events or accidents until a sensor sees them, and nothing of a sensor that it was not trained with. Silent
sensors are forecast from the others and from the time, with wider bands. Retrain when roads, signals or sensors change.
"""

from .device import Forecast, Row, Suspicion, TrafficForecaster

__all__ = ["Forecast", "Row", "Suspicion", "TrafficForecaster"]
