"""Modality adapter: maps each modality into one emotion space (DEP-Former, part MA).

FC -> LayerNorm -> FC -> SiLU per modality, 128 wide each. The release shares LayerNorm and second
FC between face and voice; here each modality has its own, so that a modality can be left out.
"""

from torch import Tensor, nn


class ModalityAdapter(nn.Module):
    """Project every modality to the same size, step by step.

    Parameters
    ----------
    in_dims : width of each modality's step features, e.g. ``{"audio": 512, "face": 2048}``
    hidden : width between the two layers
    embed_dim : output width per modality, `D`
    """

    def __init__(self, in_dims: dict[str, int], hidden: int = 1000, embed_dim: int = 128):
        super().__init__()
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(dim, hidden),
                    nn.LayerNorm(hidden),
                    nn.Linear(hidden, embed_dim),
                    nn.SiLU(),
                )
                for name, dim in in_dims.items()
            }
        )

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adapt the modalities.

        Parameters
        ----------
        features : modality -> Tensor[B, L, in_dim]

        Returns
        -------
        modality -> Tensor[B, L, D], same keys

        Raises
        ------
        KeyError : a modality that the adapter was not built for
        """
        return {name: self.branches[name](x) for name, x in features.items()}
