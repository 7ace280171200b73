"""DepMamba: every parameter accounted for; the scan against a loop and against transformers."""

import math

import pytest
import torch
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.mamba import BidirectionalMamba, selective_scan


def count_scans(width: int, n_modalities: int, expand: int = 4, states: int = 12) -> int:
    """Count the parameters of ``Mamba`` of ``bimamba.py`` and ``mm_bimamba.py``."""
    inner, rank = expand * width, math.ceil(width / 16)
    direction = 4 * inner + inner  # conv1d
    direction += inner * (rank + 2 * states) + rank * inner + inner + inner  # x_proj, dt_proj, D
    branch = width * 2 * inner + 2 * direction + inner * width  # in_proj, out_proj
    return n_modalities * branch + 2 * inner * states  # A_log, A_b_log


def test_systems_every_parameter_of_depmamba_is_accounted_for():
    projections = 256 * (25 + 136)
    convolutions = 2 * (3 * 256 * 256 + 2 * 256)
    collaborative = count_scans(256, 2) + 2 * 2 * 256
    enhanced = 3 * 512 * 512 + 2 * 512 + count_scans(512, 1) + 2 * 512
    used = projections + convolutions + collaborative + enhanced + 512 + 1
    never_called = 16 * 256 * 256 + 256 + 2 * 256  # a_downsample
    assert used + never_called == 7_714_305  # the published 7.7 M
    model = build_fusion({"kind": "dep_mamba"}, {"audio": 25, "face": 136}, 1)
    assert sum(p.numel() for p in model.parameters()) == used == 6_664_961


def test_scan_equals_the_recurrence_step_by_step():
    generator = torch.Generator().manual_seed(0)
    x, c = (torch.randn(2, 7, n, generator=generator).double() for n in (3, 4))
    delta = torch.rand(2, 7, 3, generator=generator).double()
    b = torch.randn(2, 7, 4, generator=generator).double()
    a = -torch.rand(3, 4, generator=generator).double()
    y = selective_scan(x, delta, a, b, c)
    for session in range(2):
        for d in range(3):
            state = [0.0] * 4
            for t in range(7):
                step = delta[session, t, d].item()
                state = [
                    math.exp(step * a[d, n].item()) * state[n]
                    + step * b[session, t, n].item() * x[session, t, d].item()
                    for n in range(4)
                ]
                expected = sum(state[n] * c[session, t, n].item() for n in range(4))
                assert y[session, t, d].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def build_scan(names: list[str]) -> BidirectionalMamba:
    torch.manual_seed(0)
    scan = BidirectionalMamba(names, embed_dim=8, expand=2, state_dim=5, conv_width=4)
    with torch.no_grad():
        scan.log_decay_back.add_(0.3 * torch.randn(16, 5))
    return scan


@torch.no_grad()
def test_a_direction_equals_the_mamba_of_transformers():
    scan = build_scan(["audio"])
    branch = scan.branches["audio"]
    config = MambaConfig(hidden_size=8, state_size=5, expand=2, conv_kernel=4, num_hidden_layers=1)
    x = torch.randn(2, 11, 8)
    inner, gate = branch.inputs(x).chunk(2, dim=-1)
    outputs = []
    for direction, log_decay, reverse in (
        (branch.ahead, scan.log_decay_ahead, False),
        (branch.back, scan.log_decay_back, True),
    ):
        mixer = MambaMixer(config, layer_idx=0).eval()
        mixer.in_proj.load_state_dict(branch.inputs.state_dict())
        mixer.out_proj.load_state_dict(branch.out.state_dict())
        mixer.conv1d.load_state_dict(direction.convolution.state_dict())
        mixer.x_proj.load_state_dict(direction.parameters_of_input.state_dict())
        mixer.dt_proj.load_state_dict(direction.step_size.state_dict())
        mixer.A_log.copy_(log_decay)
        mixer.D.copy_(direction.skip)
        expected = mixer(x.flip(1)).flip(1) if reverse else mixer(x)
        outputs.append(expected)
        flip = (lambda v: v.flip(1)) if reverse else (lambda v: v)
        scanned = branch.out(flip(direction(flip(inner), flip(gate), -log_decay.exp(), None)))
        torch.testing.assert_close(scanned, expected, rtol=1e-4, atol=1e-6)
    both = scan({"audio": x}, {"audio": None})["audio"]
    torch.testing.assert_close(both, sum(outputs) / 2, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_only_existing_steps_are_reversed_and_missing_steps_are_passed():
    scan = build_scan(["audio", "face"])
    x = {name: torch.randn(1, 6, 8) for name in ("audio", "face")}
    expected = scan(x, dict.fromkeys(x))
    padded = {name: torch.cat([value, torch.zeros(1, 5, 8)], 1) for name, value in x.items()}
    mask = (torch.arange(11) < 6).unsqueeze(0)
    outputs = scan(padded, dict.fromkeys(x, mask))
    for name, output in outputs.items():
        torch.testing.assert_close(output[:, :6], expected[name], rtol=1e-5, atol=1e-7)
    # the state is the same after five missing steps: only the convolution reads zeros
    a = -torch.ones(3, 2)
    delta = torch.rand(1, 7, 3)
    delta[:, 1:6] = 0.0
    value, b, c = torch.randn(1, 7, 3), torch.randn(1, 7, 2), torch.randn(1, 7, 2)
    kept = [0, 6]
    without = selective_scan(value[:, kept], delta[:, kept], a, b[:, kept], c[:, kept])
    torch.testing.assert_close(selective_scan(value, delta, a, b, c)[:, kept], without)


def test_modalities_share_the_rates_of_decay_only():
    shared = {n for n, _ in build_scan(["audio", "face"]).named_parameters() if "branches" not in n}
    assert shared == {"log_decay_ahead", "log_decay_back"}


def test_initial_step_sizes_are_those_of_mamba():
    direction = build_scan(["audio"]).branches["audio"].ahead
    initial = torch.nn.functional.softplus(direction.step_size.bias)
    assert 0.00099 < initial.min() < initial.max() < 0.101
