"""Output heads: predictions and losses by hand."""

import numpy as np
import pytest
import torch

from depmm.models.errors import ModelError
from depmm.models.heads import BinaryHead, ClassesHead, OrdinalHead, SeverityHead, build_head


def test_classes_predict_their_expectation():
    head = ClassesHead(2, 4)
    assert head.out_features == 3
    logits = torch.tensor([[0.0, 0.0, np.log(2.0)]])
    assert head.predict(logits).item() == pytest.approx((2 + 3 + 2 * 4) / 4)
    assert head.loss(logits, torch.tensor([3.0])).item() == pytest.approx(np.log(4))
    assert head.loss(logits, torch.tensor([4.0])).item() == pytest.approx(np.log(2))
    steps = head.loss(
        torch.zeros(2, 5, 3), torch.full((2, 5), 2.0)
    )  # logits of the auxiliary step head
    assert torch.allclose(steps, torch.full((2, 5), float(np.log(3))))


def test_ordinal_thresholds_by_hand():
    head = OrdinalHead(0, 2)
    head.threshold_bias.data = torch.tensor([1.0, -1.0])
    output = torch.tensor([[0.5]])
    above = 1 / (1 + np.exp(-np.array([1.5, -0.5])))
    assert head.predict(output).item() == pytest.approx(above.sum())
    expected = -(np.log(above[0]) + np.log(1 - above[1])) / 2
    assert head.loss(output, torch.tensor([1.0])).item() == pytest.approx(expected)
    assert head.predict(torch.tensor([[50.0]])).item() == pytest.approx(2)
    assert head.logit(output).item() == 0.5
    scores = head.predict(torch.linspace(-5, 5, 21).unsqueeze(1))
    assert (scores.diff() > 0).all()


def test_the_head_of_a_target():
    assert isinstance(build_head("binary", "number", 0, 1), BinaryHead)
    assert isinstance(build_head("severity", "number", 0, 63), SeverityHead)
    assert build_head("severity", "classes", 0, 24).out_features == 25
    assert len(build_head("levels", "ordinal", 0, 3).threshold_bias) == 3
    with pytest.raises(ModelError) as info:
        build_head("severity", "classes", 0, 2.5)
    assert (info.value.setting, info.value.value) == ("target.output", [0, 2.5])
    for output in ("number", "ordinal"):
        with pytest.raises(ModelError) as info:
            build_head("severity", output, 3, 3)
        assert (info.value.setting, info.value.value) == ("target.range", [3, 3])


def test_severity_is_mapped_to_the_range_of_its_instrument():
    head = SeverityHead(0.0, 63.0)
    assert head.predict(torch.zeros(1, 1)).item() == pytest.approx(31.5)
    assert head.loss(torch.zeros(1, 1), torch.tensor([0.0])).item() == pytest.approx(0.25)


def test_binary_loss_by_hand():
    head, logits = BinaryHead(), torch.tensor([[0.0], [1.0]])
    assert head.predict(logits).tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-1))])
    assert head.logit(logits).tolist() == [0.0, 1.0]
    expected = [np.log(2), np.log(1 + np.exp(-1))]
    assert head.loss(logits, torch.tensor([0.0, 1.0])).tolist() == pytest.approx(expected)
