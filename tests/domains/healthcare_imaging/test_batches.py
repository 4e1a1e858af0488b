"""Training batches: repeatable, different each epoch, and read from a mapped file as they are needed."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import batches as module
from edgekit.domains.healthcare_imaging.batches import (
    calibration_images,
    class_weights,
    most_images,
    training_batches,
    varied,
)
from edgekit.domains.healthcare_imaging.config import ImagingTrainingSettings
from edgekit.shared.domain import Examples

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
ROWS = 22


def settings(**changes: Any) -> ImagingTrainingSettings:
    return ImagingTrainingSettings(**{"batch_size": 5, **changes})


def examples(rows: int = ROWS) -> tuple[Examples, np.ndarray, np.ndarray]:
    """Return images whose level, truth and weight all tell the row."""
    level = np.arange(rows, dtype=np.uint8) * 10 + 20
    image = np.broadcast_to(level[:, None, None, None], (rows, 28, 28, 1)).copy()
    truth = np.eye(rows, dtype=np.float32)
    return Examples({"image": image}, np.arange(rows)), truth, np.arange(rows, dtype=np.float32) + 1


def epoch(dataset: Any) -> list[Batch]:
    return [(inputs["image"].numpy(), truth.numpy(), weight.numpy()) for inputs, truth, weight in dataset]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(np.array_equal(*pair) for pairs in zip(one, other, strict=True) for pair in zip(*pairs, strict=True))


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for _, truth, _ in batches for row in truth.argmax(axis=1)]


def test_batches_have_the_form_of_the_network() -> None:
    batches = epoch(training_batches(*examples(), settings(), seed=0))
    assert len(batches) == 4  # two images are left for another epoch
    image, truth, weight = batches[0]
    assert (image.shape, image.dtype) == ((5, 28, 28, 1), np.uint8)
    assert (truth.shape, weight.shape) == ((5, ROWS), (5,))


def test_an_image_keeps_its_truth_and_weight() -> None:
    given, truth, weight = examples()
    for image, label, mass in epoch(training_batches(given, truth, weight, settings(modality="ct"), seed=0)):
        rows = label.argmax(axis=1)
        assert np.array_equal(mass, rows + 1) and (label.sum(axis=1) == 1).all()
        expected = given.inputs["image"][rows, 0, 0, 0].astype(float)
        levels = image.mean(axis=(1, 2, 3))
        assert np.array_equal(np.argsort(levels), np.argsort(expected)) or np.abs(levels - expected).max() < 60


def test_each_epoch_sees_each_image_once_in_another_order_and_another_look() -> None:
    dataset = training_batches(*examples(20), settings(), seed=0)
    first, second = epoch(dataset), epoch(dataset)
    assert sorted(rows_of(first)) == sorted(rows_of(second)) == list(range(20))
    assert rows_of(first) != rows_of(second) != list(range(20))
    looks = [{row: image for batch in made for row, image in zip(rows_of([batch]), batch[0], strict=True)}
             for made in (first, second)]  # fmt: skip
    assert all(not np.array_equal(looks[0][row], looks[1][row]) for row in range(20))


@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_the_same_seed_gives_the_same_epochs(mixup: float) -> None:
    def two(seed: int) -> list[Batch]:
        keras.utils.set_random_seed(seed)
        dataset = training_batches(*examples(), settings(mixup=mixup), seed=seed)
        return [*epoch(dataset), *epoch(dataset)]

    first, again, other = two(1), two(1), two(2)
    assert same(first, again) and not same(first, other)


def test_fewer_images_than_a_batch_still_train() -> None:
    batches = epoch(training_batches(*examples(3), settings(batch_size=64), seed=0))
    assert [len(batch[0]) for batch in batches] == [3]


def test_mixup_blends_the_labels() -> None:
    batches = epoch(training_batches(*examples(20), settings(mixup=1.0), seed=0))
    truth = np.concatenate([batch[1] for batch in batches])
    np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-5)
    assert (truth.max(axis=1) < 1).sum() > 10


# === A set larger than memory ===


class Watched(np.memmap):  # type: ignore[type-arg,misc]
    """Counts how many images are asked for at once."""

    asked: list[int] = []  # noqa: RUF012 - shared by every view, as numpy makes them

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray):
            assert (np.diff(index) > 0).all()  # neighbours one after the other
            Watched.asked.append(len(index))
        return super().__getitem__(index)


def test_a_file_of_gigabytes_trains_a_step_without_being_read_whole(tmp_path: Path) -> None:
    rows, size = 40_000, 224
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(rows * size * size * 3)  # 6 GB that take no place on the disk
    mapped = np.memmap(path, dtype=np.uint8, mode="r", shape=(rows, size, size, 3)).view(Watched)
    truth = np.ones((rows, 2), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset = training_batches(
        Examples({"image": mapped}, np.zeros(rows, np.int64)), truth, truth[:, 0], settings(batch_size=8), seed=0
    )
    assert len(dataset) == rows // 8
    image, _, _ = epoch(dataset.take(1))[0]
    assert image.shape == (8, size, size, 3)
    assert set(Watched.asked) == {8} and len(Watched.asked) < 20  # a few batches ahead, no more
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB, of 6 million


def test_a_mapped_file_gives_the_batches_of_an_array(tmp_path: Path) -> None:
    given, truth, weight = examples()
    path = tmp_path / "images"
    path.write_bytes(given.inputs["image"].tobytes())
    mapped = Examples({"image": np.memmap(path, dtype=np.uint8, mode="r", shape=(ROWS, 28, 28, 1))}, given.target)
    one, other = (epoch(training_batches(those, truth, weight, settings(), seed=4)) for those in (given, mapped))
    assert same(one, other)


# === Images taken into memory ===


@pytest.mark.parametrize(
    ("shape", "count"),
    [((28, 28, 1), 342_392), ((224, 224, 3), 1_783), ((2048, 2048, 1), 64), ((20_000, 20_000, 1), 1)],
)
def test_a_quarter_of_a_gigabyte_is_taken_into_memory(shape: tuple[int, ...], count: int) -> None:
    assert most_images(np.empty((0, *shape), np.uint8)) == count
    assert count * np.prod(shape) <= 2**28 or count == 1


def labelled(rows: int) -> Examples:
    """Return images of unlike levels, every row told by target and context."""
    given = examples(rows)[0]
    return Examples(given.inputs, np.arange(rows), {"unit": np.arange(rows) + 100})


def test_images_come_as_they_are_and_then_varied_with_all_that_is_known_of_them() -> None:
    given = labelled(22)
    made = varied(given, settings())
    assert len(made) == 44 and made.inputs["image"].dtype == np.uint8
    np.testing.assert_array_equal(made.inputs["image"][:22], given.inputs["image"])
    assert made.target.tolist() == [*range(22)] * 2 and made.context["unit"].tolist() == [*range(100, 122)] * 2
    assert all(not np.array_equal(*pair) for pair in zip(*np.split(made.inputs["image"], 2), strict=True))
    np.testing.assert_array_equal(varied(given, settings()).inputs["image"], made.inputs["image"])


def test_of_more_images_than_fit_an_even_spread_is_varied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 5 * 28 * 28 + 700)
    made = varied(labelled(21), settings())
    assert made.target.tolist() == [0, 5, 10, 15, 20] * 2 and len(made.inputs["image"]) == 10


def test_more_images_than_are_varied_at_once_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4)
    given = labelled(22)
    levels = varied(given, settings(modality="ct")).inputs["image"][22:].mean(axis=(1, 2, 3))
    assert np.corrcoef(levels, np.arange(22))[0, 1] > 0.9


def test_ranges_are_learnt_from_a_few_images_half_of_them_varied() -> None:
    given = labelled(22)
    made = calibration_images(given, settings())["image"]
    np.testing.assert_array_equal(made, varied(given, settings()).inputs["image"])
    many = Examples({"image": np.zeros((1000, 28, 28, 1), np.uint8)}, np.zeros(1000))
    assert len(calibration_images(many, settings())["image"]) == 256


# === Weights ===


def test_without_balance_all_images_weigh_the_same() -> None:
    assert class_weights(np.eye(2)[[0, 0, 1]], balanced=False).tolist() == [1, 1, 1]


def test_balanced_classes_weigh_the_same_in_sum() -> None:
    truth = np.eye(3)[[0] * 6 + [1] * 3 + [2]]
    weight = class_weights(truth, balanced=True)
    assert weight.dtype == np.float32 and weight.mean() == pytest.approx(1)
    np.testing.assert_allclose(weight @ truth, [10 / 3] * 3, rtol=1e-6)


def test_a_class_without_images_takes_no_weight() -> None:
    assert class_weights(np.eye(3)[[0, 0, 1]], balanced=True) == pytest.approx([0.75, 0.75, 1.5])


def test_of_several_labels_the_rarest_counts_and_none_is_a_class_of_its_own() -> None:
    truth = np.array([[1, 0], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0]], np.float32)
    raw = np.array([1 / 4, 1, 1 / 4, 1 / 4, 1 / 2, 1 / 2])
    np.testing.assert_allclose(class_weights(truth, balanced=True), raw / raw.mean(), rtol=1e-6)


def test_images_without_any_label_weigh_the_same() -> None:
    assert class_weights(np.zeros((3, 2)), balanced=True).tolist() == [1, 1, 1]
