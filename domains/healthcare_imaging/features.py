"""Raw -> arrays, the same code in training and on the device.

A frame becomes a square canvas of 8 bits; the network itself scales it, so that a device hands over plain bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FITS = ("pad", "crop")
CHANNELS = (1, 3)
MAX_AUTO_SIZE = 128  # pixels a side, where the user names no size: more costs time before it helps
SIZES = (8, 1024)
MAX_CLASSES = 1000
LONGEST_NAME = 200  # letters of a class name


@dataclass(frozen=True)
class Plan:
    """Everything needed to make the same inputs again; travels in the device file.

    Attributes:
        size, channels: of the canvas, (size, size, channels).
        fit: ``pad`` or ``crop``, how an oblong image becomes a square.
        axis: along which axis a volume is cut into slices.
        classes: class names in the order of the outputs.
        normal: index of the class that means "nothing found".
        multi_label: whether an image can have several labels, or none.
    """

    size: int
    channels: int
    fit: str
    axis: int
    classes: tuple[str, ...]
    normal: int
    multi_label: bool

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "size": self.size,
            "channels": self.channels,
            "fit": self.fit,
            "axis": self.axis,
            "classes": list(self.classes),
            "normal": self.normal,
            "multi_label": self.multi_label,
        }

    @staticmethod
    def from_json(value: Any) -> Plan:
        """Read what ``as_json`` wrote, trusting nothing.

        Raises:
            ValueError: lists every value that is missing, unknown, of the wrong type or out of range.
        """
        names = tuple(Plan.__dataclass_fields__)
        if not isinstance(value, dict) or set(value) != set(names):
            found = sorted(map(str, value))[:20] if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"the plan must have exactly the keys {', '.join(names)}; found {found}")
        problems = [*_wrong_numbers(value), *_wrong_classes(value)]
        if problems:
            raise ValueError("; ".join(problems))
        return Plan(**{**value, "classes": tuple(value["classes"])})


def _wrong_numbers(value: dict[str, Any]) -> list[str]:
    allowed = {"channels": CHANNELS, "fit": FITS, "axis": (0, 1, 2), "multi_label": (False, True)}
    problems = [
        f"{name} must be one of {choices}, found {value[name]!r:.40}"
        for name, choices in allowed.items()
        if not any(type(value[name]) is type(choice) and value[name] == choice for choice in choices)
    ]
    low, high = SIZES
    if type(value["size"]) is not int or not low <= value["size"] <= high:
        problems.append(f"size must be a whole number from {low} to {high}, found {value['size']!r:.40}")
    return problems


def _wrong_classes(value: dict[str, Any]) -> list[str]:
    classes, normal = value["classes"], value["normal"]
    if not isinstance(classes, list | tuple) or not all(_is_name(name) for name in classes):
        return [f"classes must be a list of printable names of 1 to {LONGEST_NAME} letters, found {classes!r:.80}"]
    problems = []
    least = 1 if value["multi_label"] is True else 2
    if not least <= len(classes) <= MAX_CLASSES or len(set(classes)) != len(classes):
        problems.append(f"classes must be {least} to {MAX_CLASSES} different names, found {len(classes)}")
    if type(normal) is not int or not 0 <= normal < len(classes):
        problems.append(f"normal must be an index into the {len(classes)} classes, found {normal!r:.40}")
    return problems


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def to_canvas(frame: np.ndarray, *, size: int, channels: int, fit: str) -> np.ndarray:
    """Bring a frame to the size and channels of the model.

    A frame that has them already keeps every bit. Otherwise it is resized by bicubic interpolation with antialiasing;
    colour becomes grey by the luma of ITU-R 601.

    Args:
        frame: uint8 (height, width), (height, width, 1) or (height, width, 3).
        size: edge of the canvas in pixels.
        channels: 1 (grey) or 3 (RGB).
        fit: ``pad`` shrinks all of the frame onto black, centred; ``crop`` takes the middle square.

    Returns:
        uint8 (size, size, channels).

    Raises:
        ValueError: the frame, ``channels`` or ``fit`` is of another kind.
    """
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"a frame must be uint8 (height, width[, 1 or 3]), found {frame.dtype} {frame.shape}")
    if channels not in CHANNELS or fit not in FITS or size < 1 or not frame.size:
        raise ValueError(f"expected 1 or 3 channels and the fit pad or crop, found {channels} and {fit!r}, size {size}")
    flat = frame[..., 0] if frame.shape[2:] == (1,) else frame
    if flat.ndim == 3 and channels == 1:
        flat = _luma(flat)
    if flat.shape[:2] != (size, size):
        flat = _resized(flat, size, fit)
    shown = flat if flat.ndim == 3 else flat[..., None]
    return np.ascontiguousarray(np.broadcast_to(shown, (size, size, channels)))


def _luma(rgb: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"))


def _resized(frame: np.ndarray, size: int, fit: str) -> np.ndarray:
    from PIL import Image

    height, width = frame.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(frame))
    if fit == "crop":
        edge = min(height, width)
        left, top = (width - edge) // 2, (height - edge) // 2
        box = (left, top, left + edge, top + edge)
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))
    longest = max(height, width)
    inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
    small = np.asarray(image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0))
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    canvas = np.zeros((size, size, *frame.shape[2:]), dtype=np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas
