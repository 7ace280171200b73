"""Multimodal cross-attention: one modality asks another about both (DEP-Former, part MCA).

In the paper's figure the query is audio, the key face and the value the multimodal tokens; the
released code asks with the face. The queries' own tokens are added back before the norm, as in a
transformer layer (the figure does not say).
"""

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class CrossAttention(nn.Module):
    """Attention whose query, key and value come from three encoders.

    Parameters
    ----------
    embed_dim : width of all tokens, `D`
    n_heads, head_dim : number of heads `H` and width of each
    dropout : on what is read
    """

    def __init__(self, embed_dim: int, n_heads: int, head_dim: int, dropout: float):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(embed_dim, n_heads * head_dim)
        self.key = nn.Linear(embed_dim, n_heads * head_dim)
        self.value = nn.Linear(embed_dim, n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor[B, N, D]
        key_mask : Tensor[B, N] bool, tokens that are there in key and value

        Returns
        -------
        Tensor[B, N, D]
        """
        q, k, v = (
            rearrange(project(x), "b n (h d) -> b h n d", h=self.n_heads)
            for project, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        # a session whose key modality is missing reads padding; its branch is masked in the fusion
        readable = (key_mask | ~key_mask.any(dim=1, keepdim=True))[:, None, None]
        read = scaled_dot_product_attention(q, k, v, attn_mask=readable)
        read = self.out(rearrange(read, "b h n d -> b n (h d)"))
        return self.norm(query + self.dropout(read))
