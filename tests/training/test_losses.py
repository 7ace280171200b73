"""Weights of sessions and the loss of a batch by hand."""

import numpy as np
import pytest
import torch

from depmm.models.heads import BinaryHead, SeverityHead
from depmm.models.output import DepressionOutput
from depmm.training.losses import compute_batch_loss, compute_session_weights


def test_class_weights_by_hand():
    np.testing.assert_allclose(
        compute_session_weights([1, 1, 1, 0], True), [2 / 3, 2 / 3, 2 / 3, 2]
    )
    np.testing.assert_array_equal(compute_session_weights([1, 1, 1, 0], False), np.ones(4))
    np.testing.assert_array_equal(compute_session_weights([3.5, 0, 63], True), np.ones(3))  # scores
    np.testing.assert_array_equal(compute_session_weights([1, 1], True), np.ones(2))


def test_batch_loss_by_hand():
    output = DepressionOutput(
        logits=torch.tensor([[0.0], [2.0]]),
        step_logits=torch.tensor([[[1.0], [9.0]], [[-1.0], [3.0]]]),
        step_mask=torch.tensor([[True, False], [True, True]]),
    )
    target, weight = torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])
    sessions = np.log(2), np.log1p(np.exp(2))
    steps = np.log1p(np.exp(-1)), (np.log1p(np.exp(-1)) + np.log1p(np.exp(3))) / 2
    expected = 0.25 * (sessions[0] + 0.5 * steps[0]) + 0.75 * (sessions[1] + 0.5 * steps[1])
    loss = compute_batch_loss(BinaryHead(), output, target, weight, 0.5, 0.0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    head = SeverityHead(0, 10)  # logit 0 is a score of 5
    output = DepressionOutput(logits=torch.zeros(2, 1), step_mask=output.step_mask)
    expected = 0.25 * 0.4**2 + 0.75 * 0.5**2
    loss = compute_batch_loss(head, output, torch.tensor([1.0, 0.0]), weight, 1.0, 0.0)
    assert loss.item() == pytest.approx(expected)


def test_loss_of_the_branches_by_hand():
    output = DepressionOutput(
        logits=torch.tensor([[0.0], [2.0]]),
        branch_logits={"audio": torch.tensor([[1.0], [0.0]]), "face": torch.tensor([[0.0], [3.0]])},
        step_mask=torch.ones(2, 1, dtype=torch.bool),
    )
    target, weight = torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])
    branches = (np.log1p(np.exp(-1)) + np.log(2)) / 2, (np.log(2) + np.log1p(np.exp(3))) / 2
    expected = 0.25 * (np.log(2) + 0.4 * branches[0])
    expected += 0.75 * (np.log1p(np.exp(2)) + 0.4 * branches[1])
    loss = compute_batch_loss(BinaryHead(), output, target, weight, 1.0, 0.4)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_branch_whose_modality_is_missing_has_no_loss():
    values = {"audio": [[1.0], [0.0]], "face": [[50.0], [3.0]]}
    logits = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    output = DepressionOutput(
        logits=torch.tensor([[0.0], [2.0]]),
        branch_logits=logits,
        branch_mask=torch.tensor([[True, False], [True, True]]),
        step_mask=torch.ones(2, 1, dtype=torch.bool),
    )
    target, weight = torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])
    branches = np.log1p(np.exp(-1)), (np.log(2) + np.log1p(np.exp(3))) / 2
    expected = 0.25 * (np.log(2) + 0.4 * branches[0])
    expected += 0.75 * (np.log1p(np.exp(2)) + 0.4 * branches[1])
    loss = compute_batch_loss(BinaryHead(), output, target, weight, 1.0, 0.4)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert logits["face"].grad[0] == 0 != logits["face"].grad[1]
