"""edgekit: applied deep learning that ends on a device.

Own data in; a small, self-describing, self-testing ``.tflite`` out, with the evidence that it works there.
Importing this package imports nothing heavy: the device side needs numpy and ai-edge-litert alone.
"""

__version__ = "0.1.0"
