"""Soft membership trained into the code: deep embedded clustering beside what the code has to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...shared.domain import Examples
from .features import BEHAVIOUR
from .layers import Membership
from .segmentation import LEAST_VARIANCE, OUTLOOK, RIDGE, Segmentation, distances, parts, targets

STEPS = 100
TARGETS_EVERY = 25
LEARNING_RATE = 1e-3
SHARPNESS = 0.5
"""Weight of the divergence from sharpened memberships."""
LIKENESS = 0.05
"""Weight of the error with which the code repeats the behaviour."""


def refine(fitted: Segmentation, train: Examples, *, assignment: str) -> Segmentation:
    """Move code and centres so that memberships become clearer, while the code goes on to foresee and to repeat.

    The loss is the ridge regression's, the squared error of a linear decoder (weight ``LIKENESS``) and the divergence
    of the memberships from their sharpened form (weight ``SHARPNESS``); all customers are in every step, and nothing
    is drawn at random.

    Measured as in ``segmentation`` (spend explained, stability, true kinds): without .266, .81, .21; Gaussian .269,
    .80, .21; Student's t .267, .79, .18. It makes memberships clearer; segments are hardly more useful for it.

    Args:
        fitted: where to begin.
        train: labelled examples, and unlabelled ones whose memberships are sharpened.
        assignment: as in ``layers.Membership``.

    Source: Xie, Girshick and Farhadi 2016, "Unsupervised Deep Embedding for Clustering Analysis", section 3.
    """
    labelled, current = parts(train)
    given = tf.constant(fitted.standards.apply(labelled.inputs[BEHAVIOUR]))
    now = tf.constant(fitted.standards.apply(current))
    wanted = tf.constant(targets(labelled.target).astype(np.float32))
    membership = Membership(len(fitted.centres), assignment)
    membership.build((None, fitted.kernel.shape[1]))
    membership.set(fitted.centres, fitted.variance)
    kernel, bias = tf.Variable(fitted.kernel), tf.Variable(fitted.bias)
    back = tf.Variable(np.linalg.pinv(fitted.kernel).astype(np.float32))
    factor, addend = (tf.constant(column.astype(np.float32)) for column in fitted.outlook.T)

    def loss(sharpened: Any) -> Any:
        coded = tf.matmul(now, kernel) + bias
        foreseen = (tf.matmul(given, kernel[:, :OUTLOOK]) + bias[:OUTLOOK]) * factor + addend
        ridge = RIDGE * tf.reduce_sum(tf.square(kernel[:, :OUTLOOK] * factor))
        regression = tf.reduce_mean(tf.reduce_sum(tf.square(foreseen - wanted), axis=1)) + ridge
        mean = tf.reduce_mean(now, axis=0)
        repeated = tf.reduce_mean(tf.square(tf.matmul(coded, back) + mean - now))
        doubt = tf.math.log(membership(coded) + 1e-9)
        divergence = tf.reduce_mean(tf.reduce_sum(sharpened * (tf.math.log(sharpened + 1e-9) - doubt), axis=1))
        return regression / 2 + LIKENESS * repeated + SHARPNESS * divergence

    _descend(loss, [kernel, bias, back, membership.centres.value], lambda: membership(tf.matmul(now, kernel) + bias))
    return _settled(
        now.numpy(), replace(fitted, kernel=kernel.numpy(), bias=bias.numpy(), centres=membership.centres.numpy())
    )


def _descend(loss: Callable[[Any], Any], weights: list[Any], memberships: Callable[[], Any]) -> None:
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(weights)

    @tf.function  # type: ignore[untyped-decorator]
    def step(sharpened: Any) -> None:
        with tf.GradientTape() as tape:
            value = loss(sharpened)
        optimizer.apply(tape.gradient(value, weights), weights)

    for number in range(STEPS):
        if number % TARGETS_EVERY == 0:
            sharpened = tf.constant(_sharpened(memberships().numpy()))
        step(sharpened)


def _sharpened(membership: np.ndarray) -> np.ndarray:
    """Return the memberships squared and shared out anew, small segments favoured (eq. 3)."""
    strong = np.square(membership) / membership.sum(axis=0)
    return np.asarray(strong / strong.sum(axis=1, keepdims=True), dtype=np.float32)


def _settled(now: np.ndarray, fitted: Segmentation) -> Segmentation:
    """Keep the segments in order of foreseen spend, and measure anew how far customers are from their centres."""
    centres = fitted.centres[np.argsort(fitted.centres[:, 0], kind="stable")]
    nearest = distances(now @ fitted.kernel + fitted.bias, centres).min(axis=1)
    return replace(
        fitted, centres=centres, variance=max(float(nearest.mean()) / fitted.kernel.shape[1], LEAST_VARIANCE)
    )
