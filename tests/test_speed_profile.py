"""The profile behind missed speeds: operators by kind, and what happens outside of them."""

from __future__ import annotations

import time

import torch

from benchmarks.speed_profile import KINDS, OUTSIDE, kind_of, shares


def test_the_longest_beginning_decides_the_kind():
    assert kind_of("aten::mm") == "matrix products"
    assert kind_of("aten::_log_softmax_backward_data") == "loss and drawing"
    assert kind_of("aten::native_layer_norm_backward") == "norms"
    assert kind_of("aten::add_") == "activations and sums"
    assert kind_of("aten::addmm") == "matrix products"  # not a sum
    assert kind_of("aten::view") == "other operators"


def test_products_and_waiting_are_told_apart():
    left = torch.rand(512, 512)

    def run(window):
        for step in range(1, 5):
            torch.mm(left, left)
            time.sleep(0.05)
            window(step, 4)

    found, calls, milliseconds = shares(run)
    assert set(KINDS) < set(found) and abs(sum(found.values()) - 1) < 1e-6
    assert found[OUTSIDE] > 0.5 and found["matrix products"] > 0.001
    assert 1 <= calls < 10 and milliseconds > 50  # a product and what it asks for
