"""Late fusion: the mean over steps and modalities, by hand."""

import torch

from depmm.models.fusion.mean_pool import MeanPool


def test_modalities_of_a_session_have_equal_weight():
    fusion = MeanPool({"audio": 1, "face": 1}, 1, dropout=0.5).eval()
    for name, weight in (("audio", 2.0), ("face", -1.0)):
        torch.nn.init.constant_(fusion.output_layers[name][1].weight, weight)
        torch.nn.init.constant_(fusion.output_layers[name][1].bias, 0.5)
    features = {
        "audio": torch.tensor([[[1.0], [3.0]], [[5.0], [9.0]]]),
        "face": torch.tensor([[[4.0], [float("nan")]], [[1.0], [1.0]]]),
    }
    masks = {
        "audio": torch.tensor([[True, True], [True, False]]),
        "face": torch.tensor([[True, False], [False, False]]),
    }
    fused, logits = fusion(features, masks)
    assert logits["audio"].flatten().tolist() == [4.5, 10.5]
    assert logits["face"][0].item() == -3.5
    assert fused.flatten().tolist() == [0.5, 10.5]  # the second session has no face


def test_complete_sessions_need_no_mask():
    torch.manual_seed(0)
    fusion = MeanPool({"audio": 3, "face": 2}, 1, dropout=0.0)
    features = {"audio": torch.randn(4, 5, 3), "face": torch.randn(4, 5, 2)}
    masks = {name: torch.ones(4, 5, dtype=torch.bool) for name in features}
    masked, masked_logits = fusion(features, masks)
    fused, logits = fusion(features, masks, complete=True)
    torch.testing.assert_close(fused, masked)
    torch.testing.assert_close(logits, masked_logits)
