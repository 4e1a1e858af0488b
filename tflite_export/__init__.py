"""From a Keras model to a verified device file. It knows no domain."""
