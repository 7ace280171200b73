"""Output heads: predictions and losses by hand."""

import numpy as np
import pytest
import torch

from depmm.models.errors import ModelError
from depmm.models.heads import (
    BinaryHead,
    ClassesHead,
    LinearHead,
    OrdinalHead,
    SeverityHead,
    build_head,
)


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
    assert build_head("binary", "classes", 0, 1).out_features == 2
    assert isinstance(build_head("severity", "linear", 0, 63), LinearHead)
    assert isinstance(build_head("levels", "linear", 0, 3), LinearHead)
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


def test_a_linear_output_is_the_score_and_its_loss_is_half_the_squared_error():
    head = LinearHead()
    scores = torch.tensor([[12.0], [-3.0], [70.0]], requires_grad=True)
    assert head.predict(scores).tolist() == head.logit(scores).tolist() == [12.0, -3.0, 70.0]
    losses = head.loss(scores, torch.tensor([10.0, 0.0, 63.0]))
    assert losses.tolist() == [2.0, 4.5, 24.5]
    # DepNet, Eq. 5: the derivative of the mean is the error divided by the number of sessions
    losses.mean().backward()
    assert scores.grad.flatten().tolist() == pytest.approx([2 / 3, -1, 7 / 3])


def test_two_classes_are_a_binary_head_of_the_difference_of_their_logits():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20, 2, generator=generator)
    labels = torch.arange(20.0) % 2
    two, one = build_head("binary", "classes", 0, 1), BinaryHead()
    difference = logits[:, 1:] - logits[:, :1]
    assert torch.equal(two.logit(logits), difference.squeeze(1))
    assert torch.allclose(two.predict(logits), one.predict(difference), atol=1e-6)
    assert torch.allclose(two.loss(logits, labels), one.loss(difference, labels), atol=1e-5)
