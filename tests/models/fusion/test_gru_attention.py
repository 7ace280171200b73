"""BiGRU with attention: agreement with packed sequences, and attention by hand."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.gru_attention import AdditiveAttention, BidirectionalGRU

KIND = {"kind": "gru_attention", "hidden_dim": 4, "attention_dim": 3}


@torch.no_grad()
def test_recurrence_equals_packed_sequences_of_torch():
    torch.manual_seed(0)
    model = BidirectionalGRU(3, 4)
    reference = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    for name, value in model.ahead.named_parameters():
        getattr(reference, name).copy_(value)
    for name, value in model.back.named_parameters():
        getattr(reference, f"{name}_reverse").copy_(value)
    x, lengths = torch.randn(3, 7, 3), [7, 4, 1]
    packed = pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    states = model(x, mask).masked_fill(~mask.unsqueeze(-1), 0.0)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(model(x[:1], None), expected[:1])
    # missing steps in the middle are skipped
    holes = torch.tensor([[True, False, True, True, False, False, True]])
    torch.testing.assert_close(model(x[:1], holes)[:, holes[0]], reference(x[:1, holes[0]])[0])


@torch.no_grad()
def test_attention_by_hand():
    attention = AdditiveAttention(1, 1)
    attention.hidden.weight.fill_(1.0)
    attention.hidden.bias.fill_(0.0)
    attention.context.weight.fill_(2.0)
    x = torch.tensor([[[0.0], [0.5], [3.0]]])
    mask = torch.tensor([[True, True, False]])
    odds = math.exp(2 * math.tanh(0.5))  # to exp(2 tanh 0) = 1
    expected = torch.tensor([[1 / (1 + odds), odds / (1 + odds), 0.0]])
    torch.testing.assert_close(attention(x, mask), expected, rtol=0, atol=1e-5)
    assert attention(x, torch.zeros_like(mask)).abs().sum() == 0
    torch.testing.assert_close(attention(x[:, :2], None), expected[:, :2], rtol=0, atol=1e-5)


@torch.no_grad()
def test_parts_of_all_modalities_are_concatenated():
    torch.manual_seed(0)
    model = build_fusion(KIND, {"face": 2, "audio": 3}, 1).eval()
    x = {"audio": torch.randn(2, 5, 3), "face": torch.randn(2, 5, 2)}
    masks = {name: torch.ones(2, 5, dtype=torch.bool) for name in x}
    masks["face"][1] = False
    fused, branches = model(x, masks)
    linear = model.output_layer[1]
    states = model.recurrences["audio"](x["audio"], None)
    weights = model.attentions["audio"](states, None)
    audio = (weights.unsqueeze(-1) * states).sum(1)
    expected = audio @ linear.weight[:, :8].T + linear.bias
    torch.testing.assert_close(branches["audio"], expected)
    torch.testing.assert_close(fused[1], expected[1])  # no face
    torch.testing.assert_close(fused[0] + linear.bias, (branches["audio"] + branches["face"])[0])
