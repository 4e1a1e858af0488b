"""From a converted network to a device file: card, golden vectors, labels, seal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..shared.errors import DeviceFileError, ExportError
from . import card as cards
from . import golden as goldens
from . import seal, standard_metadata
from .card import Card
from .engine import Engine
from .flatfile import with_entries
from .golden import Golden
from .ops import require_builtin
from .recipes import recipe
from .runtime import load_model
from .signature import PREDICT, Signature, read_signatures
from .tail import append_files

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays


def assemble(content: bytes, card: Card, golden_inputs: Arrays) -> bytes:
    """Return the device file: the same arguments give the same bytes.

    The golden outputs are recorded from ``content`` itself. The result has passed the guard and its
    own golden vectors before it is returned.

    Args:
        content: a converted ``.tflite`` with a ``predict`` signature.
        card: what the file shall say about itself; inputs and outputs must be those of the
            signature.
        golden_inputs: a few examples, edge rows among them (NaN, unknown codes, extremes), first
            axis = example.

    Raises:
        ExportError: content, card and golden inputs do not fit each other, or the file would be
            refused.
        ContractError: a golden input has the wrong name, dtype or shape.
    """
    try:
        require_builtin(content)
        signatures = read_signatures(content)
        outputs = Engine(content, signatures).predict(golden_inputs)
        files = standard_metadata.attached_files(card)
        entries = {
            cards.ENTRY: cards.to_json(card).encode(),
            goldens.ENTRY: goldens.encode(Golden(golden_inputs, outputs, recipe(card.recipe).tolerance)),
            seal.ENTRY: seal.BLANK,
        }
        _require_same_names(card, signatures[PREDICT])
        entries[standard_metadata.ENTRY] = standard_metadata.model_metadata(card, signatures[PREDICT], files)
        whole = append_files(with_entries(content, entries), {file.name: file.content for file in files})
        return _proved(seal.seal(whole))
    except DeviceFileError as error:
        raise ExportError(f"Cannot assemble the device file. {error}") from error


def _require_same_names(card: Card, signature: Signature) -> None:
    for side, tensors, slots in (
        ("inputs", card.inputs, signature.inputs),
        ("outputs", card.outputs, signature.outputs),
    ):
        names = sorted(tensor.name for tensor in tensors)
        if names != sorted(slots):
            raise ExportError(
                f"Found {side} {names} on the card and {sorted(slots)} in the network, expected "
                "the same. Name the card's tensors as the model's."
            )


def _proved(content: bytes) -> bytes:
    verification = goldens.replay(load_model(content))
    if not verification.passed:
        raise ExportError(
            f"Found a deviation of {verification.max_abs_error:.3g} when replaying the golden "
            f"vectors, expected at most {verification.tolerance:.3g}. The network is not "
            "deterministic; remove random layers."
        )
    return content
