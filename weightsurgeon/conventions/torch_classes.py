"""What PyTorch calls the kinds: the classes of `torch.nn`, as live modules tell them."""

from __future__ import annotations

_EACH = {
    "Conv{}d": "conv",
    "ConvTranspose{}d": "conv_transpose",
    "BatchNorm{}d": "batchnorm",
    "InstanceNorm{}d": "instancenorm",
}

WORDS = {
    **{word.format(n): kind for word, kind in _EACH.items() for n in (1, 2, 3)},
    "Linear": "linear",
    "transformers.Conv1D": "linear_t",  # of Hugging Face's GPT-2: its weight is `in out`
    "EmbeddingBag": "embedding",
    "SyncBatchNorm": "batchnorm",
    "LayerNorm": "layernorm",
    "RMSNorm": "rmsnorm",
    "GroupNorm": "groupnorm",
    **{word: word.lower() for word in ("RNN", "LSTM", "GRU")},
    "RNNCell": "rnn",
    "MultiheadAttention": "mha",
    # Embedding, PReLU, LSTMCell and GRUCell are called as in Keras
}
